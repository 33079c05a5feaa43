"""A session with a member over its standard streams, in either era.

Many requests in flight on one process. Progress finds its request by the token; every other
notification belongs to the session, because nothing on this transport says whose it is.
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
from mcp_hub.upstream.process import CannotStart, ChildProcess
from mcp_hub.upstream.session import (
    Cannot,
    Handshake,
    OnSessionNotification,
    answer_member,
    read_discover,
    read_initialize,
)
from mcp_hub.upstream.specs import StdioSpec

DISCOVER_TIMEOUT_S = 5.0
"""A legacy server may ignore the probe in silence; one that starts slowly answers ``initialize`` later."""
INITIALIZE_TIMEOUT_S = 60.0

_CAPABILITIES = msgspec.Raw(b"{}")


class StdioSession:
    """``mcp_hub.seams.Session`` over a child process."""

    def __init__(self, spec: StdioSpec, on_notification: OnSessionNotification) -> None:
        self._spec = spec
        self._on_notification = on_notification
        self._pending = Pending(spec.name, self._abandon)
        self._child: ChildProcess | None = None
        self._stamp = Stamp("legacy")
        self.era: Era = "legacy"
        self.protocol_version = ""
        self.capabilities: RawObject = {}
        self.server_info: msgspec.Raw | None = None
        self.instructions: str | None = None
        self.noise = 0
        """Lines on standard output that were not JSON-RPC: banners, prints."""

    @classmethod
    async def begin(cls, spec: StdioSpec, era: Era | None, on_notification: OnSessionNotification) -> StdioSession:
        """Start the program and shake hands; ``era`` is what was learnt before. Raises ``Cannot``."""
        session = cls(spec, on_notification)
        try:
            session._child = await ChildProcess.start(spec, session._on_line, session._on_exit)
        except CannotStart as error:
            raise Cannot(_fault("member_unavailable", f"{spec.name}: {error}.", "start")) from None
        try:
            session._take(await session._shake_hands(era))
        except BaseException:
            await session.close()
            raise
        return session

    @property
    def in_flight(self) -> int:
        return len(self._pending)

    @property
    def lost(self) -> MemberFault | None:
        return self._pending.lost

    @property
    def pid(self) -> int:
        return self._child.pid if self._child is not None else 0

    def stderr_tail(self) -> str:
        return self._child.stderr_tail() if self._child is not None else ""

    async def request(
        self, method: str, params: RawObject, *, timeout: float, on_notification: OnNotification | None = None
    ) -> Reply:
        request_id = self._pending.mint()
        sent = self._stamp.params(params, request_id if on_notification is not None else None)
        line = encode_request(request_id, method, sent)
        return await self._pending.wait(request_id, lambda: self._write(line), timeout, on_notification)

    async def close(self) -> None:
        if self._child is not None:
            await self._child.stop()

    async def _shake_hands(self, era: Era | None) -> Handshake:
        if era != "legacy":
            self._stamp = Stamp("modern")
            reply = await self.request("server/discover", {}, timeout=DISCOVER_TIMEOUT_S)
            found = read_discover(reply) if isinstance(reply, msgspec.Raw) else None
            if found is not None:
                return found
            self._raise_if_lost()
            self._stamp = Stamp("legacy")
        params = {
            "protocolVersion": msgspec.Raw(msgspec.json.encode(LEGACY_VERSIONS[0])),
            "capabilities": _CAPABILITIES,
            "clientInfo": CLIENT_INFO,
        }
        reply = await self.request("initialize", params, timeout=INITIALIZE_TIMEOUT_S)
        self._raise_if_lost()
        if isinstance(reply, MemberFault):
            message = f"{self._spec.name} did not answer 'initialize' within {INITIALIZE_TIMEOUT_S:g} seconds."
            raise Cannot(_fault("member_timeout", message, "handshake"))
        if isinstance(reply, RpcError):
            message = f"{self._spec.name} refused 'initialize': {reply.message} ({reply.code})."
            raise Cannot(_fault("member_handshake_failed", message, "handshake"))
        found = read_initialize(reply)
        if found is None:
            message = f"{self._spec.name} answered 'initialize' with something else."
            raise Cannot(_fault("member_invalid_reply", message, "handshake"))
        self._write(encode_notification("notifications/initialized", b"{}"))
        return found

    def _take(self, handshake: Handshake) -> None:
        self.era = handshake.era
        self.protocol_version = handshake.protocol_version
        self.capabilities = handshake.capabilities
        self.server_info = handshake.server_info
        self.instructions = handshake.instructions

    def _raise_if_lost(self) -> None:
        lost = self._pending.lost
        if lost is not None:
            raise Cannot(msgspec.structs.replace(lost, stage="handshake"))

    def _on_line(self, line: bytes) -> None:
        message = decode(line)
        if message is None:
            self.noise += 1
        elif message.kind in ("response", "error"):
            self._pending.answered(message)
        elif message.kind == "request":
            self._write(answer_member(message))
        else:
            notification = Notification(message.method or "", message.params)
            if notification.method != PROGRESS:
                self._on_notification(notification)
            else:
                self._pending.progressed(notification)

    def _on_exit(self, reason: str) -> None:
        said = self.stderr_tail().strip().splitlines()
        tail = f" Its last words: {said[-1][:300]}" if said else ""
        self._pending.fail(_fault("member_lost", f"{self._spec.name}: {reason}.{tail}", "answer", sent=True))

    def _abandon(self, request_id: int, reason: str) -> None:
        params = f'{{"requestId":{request_id},"reason":{json.dumps(reason)}}}'
        self._write(encode_notification("notifications/cancelled", params.encode()))

    def _write(self, line: bytes) -> None:
        if self._child is not None:
            self._child.write(line)


def _fault(code: str, message: str, stage: Stage, *, sent: bool = False) -> MemberFault:
    return MemberFault(code=code, message=message, stage=stage, sent=sent)
