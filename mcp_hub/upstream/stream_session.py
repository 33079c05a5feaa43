"""What sessions over one two-way stream share (standard streams, HTTP+SSE): many requests in flight, answers
matched by id, progress routed by token, the initialize handshake, questions of the member.

Nothing on these transports says whose a question or a log message is (``questions.py`` finds out). A member
that has asked once gets one call that may be asked at a time from then on; calls of clients that cannot be
asked are never held up.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from mcp_hub.log_levels import LogLevel
from mcp_hub.seams import (
    CANCELLED,
    LEGACY_VERSIONS,
    LOG,
    PROGRESS,
    Caller,
    Era,
    MemberFault,
    Notification,
    RawObject,
    Reply,
    RpcError,
    Stage,
)
from mcp_hub.upstream.envelope import CLIENT_INFO, Stamp
from mcp_hub.upstream.jsonrpc import decode, encode_notification, encode_request
from mcp_hub.upstream.pending import Pending
from mcp_hub.upstream.questions import Questions, busy, cancelled_request
from mcp_hub.upstream.session import Cannot, Handshake, OnSessionNotification, Tenancy, read_initialize

INITIALIZE_TIMEOUT_S = 60.0


class StreamSession:
    """``mcp_hub.seams.Session`` over a stream; a transport says how to ``write``."""

    def __init__(self, name: str, on_notification: OnSessionNotification, tenancy: Tenancy) -> None:
        self._name = name
        self._on_notification = on_notification
        self._tenancy = tenancy
        self._pending = Pending(name, self._abandon)
        self._questions = Questions(self.write, declared=tenancy.profile.interactive)
        self._questions.seen = tenancy.serial
        self._lane = asyncio.Lock()
        self._over = asyncio.Event()
        self._log_level = LogLevel()
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

    async def request(self, method: str, params: RawObject, *, timeout: float, caller: Caller | None = None) -> Reply:
        alone = self._questions.seen and self._tenancy.profile.interactive
        if caller is None or self.era == "modern" or not alone:
            return await self._send(method, params, timeout, caller)
        try:
            async with self._own_lane(timeout):
                return await self._send(method, params, timeout, caller)
        except _Busy:
            return busy(self._name, timeout)

    async def forgotten(self) -> None:
        await self._over.wait()

    def write(self, message: bytes) -> None:
        """Send one message without waiting."""
        raise NotImplementedError

    async def initialize(self) -> Handshake:
        """The handshake of the initialize era. Raises ``Cannot``."""
        params = {
            "protocolVersion": msgspec.Raw(msgspec.json.encode(LEGACY_VERSIONS[0])),
            "capabilities": msgspec.Raw(self._tenancy.profile.declared),
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
            self._questions.received(message)
        else:
            self._notified(Notification(message.method or "", message.params))

    def end(self, fault: MemberFault) -> None:
        """The connection is gone: every request in flight ends with ``fault``."""
        self._pending.fail(fault)
        self._questions.close()
        self._over.set()

    async def _send(self, method: str, params: RawObject, timeout: float, caller: Caller | None) -> Reply:
        asker = caller if self.era == "legacy" else None
        request_id = self._pending.mint()
        progress = request_id if caller is not None and caller.wants_progress else None
        line = encode_request(request_id, method, self._stamp.params(params, progress, caller))
        if caller is not None and caller.log_level is not None:
            self._set_log_level(caller.log_level)
        if self._pending.lost is not None:
            return self._pending.lost
        waiting = self._pending.began(request_id, timeout, caller)
        answered = False
        try:
            if asker is not None:
                self._questions.began(request_id, asker, waiting)
            self.write(line)
            reply = await waiting.future
            answered = not isinstance(reply, MemberFault)
            return reply
        finally:
            self._pending.ended(waiting)
            if asker is not None:
                self._questions.ended(request_id, answered=answered)

    @asynccontextmanager
    async def _own_lane(self, timeout: float) -> AsyncIterator[None]:
        """One call that may be asked at a time. Raises ``_Busy`` when it is not free in time."""
        try:
            async with asyncio.timeout(timeout):
                await self._lane.acquire()
        except TimeoutError:
            raise _Busy from None
        try:
            yield
        finally:
            self._lane.release()

    def _set_log_level(self, wanted: str) -> None:
        """Ask a session of the initialize era for the log messages that this caller wants."""
        if self.era == "legacy" and "logging" in self.capabilities:
            level = self._log_level.raised_by(wanted)
            if level is not None:
                params = b'{"level":"%b"}' % level.encode()
                self.write(encode_request(self._pending.mint(), "logging/setLevel", params))

    def _notified(self, notification: Notification) -> None:
        if notification.method == PROGRESS:
            self._pending.progressed(notification)
        elif notification.method == CANCELLED:
            self._questions.cancelled(cancelled_request(notification.params))
        elif notification.method == LOG:
            self._logged(notification)
        else:
            self._on_notification(notification)

    def _logged(self, notification: Notification) -> None:
        """A log message says nothing of its call: on a session of one principal it goes to a call of that
        one, on a shared session only to the one that is alone in flight."""
        caller = self._pending.first_caller() if self._tenancy.private else self._pending.only_caller()
        if caller is not None:
            caller.notified(notification)

    def _abandon(self, request_id: int, reason: str) -> None:
        params = f'{{"requestId":{request_id},"reason":{json.dumps(reason)}}}'
        self.write(encode_notification(CANCELLED, params.encode()))


class _Busy(Exception):
    """The lane was not free in time."""


def stream_fault(code: str, message: str, stage: Stage, *, sent: bool = False) -> MemberFault:
    """A fault of the connection itself."""
    return MemberFault(code=code, message=message, stage=stage, sent=sent)
