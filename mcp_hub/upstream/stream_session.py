"""What sessions over one two-way stream share (standard streams, HTTP+SSE): many requests in flight, answers
matched by id, progress routed by token, the initialize handshake.

Every other notification belongs to the session, because nothing on these transports says whose it is.
"""

from __future__ import annotations

import json

import msgspec

from mcp_hub.seams import (
    LEGACY_VERSIONS,
    Era,
    MemberFault,
    Notification,
    OnNotification,
    RawObject,
    Reply,
    RpcError,
    Stage,
)
from mcp_hub.upstream.envelope import CLIENT_INFO, Stamp
from mcp_hub.upstream.jsonrpc import decode, encode_notification, encode_request
from mcp_hub.upstream.pending import PROGRESS, Pending
from mcp_hub.upstream.session import Cannot, Handshake, OnSessionNotification, answer_member, read_initialize

INITIALIZE_TIMEOUT_S = 60.0

_CAPABILITIES = msgspec.Raw(b"{}")


class StreamSession:
    """``mcp_hub.seams.Session`` over a stream; a transport says how to ``write``."""

    def __init__(self, name: str, on_notification: OnSessionNotification) -> None:
        self._name = name
        self._on_notification = on_notification
        self._pending = Pending(name, self._abandon)
        self._stamp = Stamp("legacy")
        self.era: Era = "legacy"
        self.protocol_version = ""
        self.capabilities: RawObject = {}
        self.server_info: msgspec.Raw | None = None
        self.instructions: str | None = None
        self.noise = 0
        """Messages that were not JSON-RPC: banners, prints."""

    @property
    def in_flight(self) -> int:
        return len(self._pending)

    @property
    def lost(self) -> MemberFault | None:
        return self._pending.lost

    async def request(
        self, method: str, params: RawObject, *, timeout: float, on_notification: OnNotification | None = None
    ) -> Reply:
        request_id = self._pending.mint()
        sent = self._stamp.params(params, request_id if on_notification is not None else None)
        line = encode_request(request_id, method, sent)
        return await self._pending.wait(request_id, lambda: self.write(line), timeout, on_notification)

    def write(self, message: bytes) -> None:
        """Send one message without waiting."""
        raise NotImplementedError

    async def initialize(self) -> Handshake:
        """The handshake of the initialize era. Raises ``Cannot``."""
        params = {
            "protocolVersion": msgspec.Raw(msgspec.json.encode(LEGACY_VERSIONS[0])),
            "capabilities": _CAPABILITIES,
            "clientInfo": CLIENT_INFO,
        }
        reply = await self.request("initialize", params, timeout=INITIALIZE_TIMEOUT_S)
        self.raise_if_lost()
        if isinstance(reply, MemberFault):
            message = f"{self._name} did not answer 'initialize' within {INITIALIZE_TIMEOUT_S:g} seconds."
            raise Cannot(stream_fault("member_timeout", message, "handshake"))
        if isinstance(reply, RpcError):
            message = f"{self._name} refused 'initialize': {reply.message} ({reply.code})."
            raise Cannot(stream_fault("member_handshake_failed", message, "handshake"))
        found = read_initialize(reply)
        if found is None:
            message = f"{self._name} answered 'initialize' with something else."
            raise Cannot(stream_fault("member_invalid_reply", message, "handshake"))
        self.write(encode_notification("notifications/initialized", b"{}"))
        return found

    def take(self, handshake: Handshake) -> None:
        """Remember what the member said of itself."""
        self.era = handshake.era
        self.protocol_version = handshake.protocol_version
        self.capabilities = handshake.capabilities
        self.server_info = handshake.server_info
        self.instructions = handshake.instructions

    def raise_if_lost(self) -> None:
        """Raises ``Cannot`` when the connection has ended during the handshake."""
        lost = self._pending.lost
        if lost is not None:
            raise Cannot(msgspec.structs.replace(lost, stage="handshake"))

    def received(self, text: bytes) -> None:
        """One message came."""
        message = decode(text)
        if message is None:
            self.noise += 1
        elif message.kind in ("response", "error"):
            self._pending.answered(message)
        elif message.kind == "request":
            self.write(answer_member(message))
        else:
            notification = Notification(message.method or "", message.params)
            if notification.method != PROGRESS:
                self._on_notification(notification)
            else:
                self._pending.progressed(notification)

    def _abandon(self, request_id: int, reason: str) -> None:
        params = f'{{"requestId":{request_id},"reason":{json.dumps(reason)}}}'
        self.write(encode_notification("notifications/cancelled", params.encode()))


def stream_fault(code: str, message: str, stage: Stage, *, sent: bool = False) -> MemberFault:
    """A fault of the connection itself."""
    return MemberFault(code=code, message=message, stage=stage, sent=sent)
