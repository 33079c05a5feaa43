"""A session with a member over Streamable HTTP, in either era.

Requests are independent exchanges on the pooled transport, so any number is in flight. Cancelling one
closes its stream (modern) or posts ``notifications/cancelled`` (legacy). A legacy session that the member
has forgotten (404) is begun anew, once, and the request repeated: a 404 means that it was not executed.
"""

from __future__ import annotations

import asyncio

import msgspec

from mcp_hub.log_levels import LogLevel
from mcp_hub.seams import LEGACY_VERSIONS, Caller, Era, MemberFault, RawObject, Reply, RpcError
from mcp_hub.upstream.deadline import Deadline, Deadlines, TaskDeadline
from mcp_hub.upstream.envelope import CLIENT_INFO, Stamp
from mcp_hub.upstream.http_exchanges import FORGOTTEN, HANDSHAKE_TIMEOUT_S, STREAM, HttpExchanges
from mcp_hub.upstream.http_wire import (
    fault_of,
    header_of,
    is_stream,
    timeouts_for,
)
from mcp_hub.upstream.jsonrpc import encode_notification
from mcp_hub.upstream.listening import LISTS, Ending, Listening, listen_modern
from mcp_hub.upstream.session import (
    EVERYBODY,
    Cannot,
    Handshake,
    OnSessionNotification,
    Tenancy,
    read_discover,
    read_initialize,
)
from mcp_hub.upstream.specs import HttpSpec
from mcp_hub.upstream.sse import EventReader
from policies.egress import HttpTransport, TransportFailure

MODERN_CODES = range(-32099, -32019)
"""Errors that only a modern server sends: the era is right, the request was not."""


class HttpSession(HttpExchanges):
    """``mcp_hub.seams.Session`` over HTTP."""

    def __init__(
        self, spec: HttpSpec, transport: HttpTransport, on_notification: OnSessionNotification, tenancy: Tenancy
    ) -> None:
        super().__init__(spec, transport, on_notification, tenancy)
        self._deadlines = Deadlines()
        self._log_level = LogLevel()
        self._over = asyncio.Event()
        self._renewal: asyncio.Task[None] | None = None
        self._listening: Listening | None = None
        self.in_flight = 0
        self.lost: MemberFault | None = None
        self.capabilities: RawObject = {}
        self.server_info: msgspec.Raw | None = None
        self.instructions: str | None = None

    @classmethod
    async def begin(
        cls,
        spec: HttpSpec,
        transport: HttpTransport,
        era: Era | None,
        on_notification: OnSessionNotification,
        tenancy: Tenancy = EVERYBODY,
    ) -> HttpSession:
        """Shake hands, and open the stream of notices. Raises ``Cannot``."""
        session = cls(spec, transport, on_notification, tenancy)
        await session._shake_hands(era)
        session._listen()
        return session

    @property
    def session_id(self) -> str | None:
        return self._session_id

    async def request(self, method: str, params: RawObject, *, timeout: float, caller: Caller | None = None) -> Reply:
        self.in_flight += 1
        limit = TaskDeadline(self._deadlines, timeout)
        try:
            if caller is not None and caller.log_level is not None:
                await self._set_log_level(caller.log_level, limit)
            reply = await self._exchange(method, params, limit, caller)
            if isinstance(reply, MemberFault) and reply.code == FORGOTTEN:
                await self._renew()
                reply = await self._exchange(method, params, limit, caller)
            return reply
        except asyncio.CancelledError:
            if not limit.passed():
                raise
            text = f"{self._spec.name} did not answer within {timeout:g} seconds."
            return MemberFault(code="member_timeout", message=text, stage="answer", sent=True)
        except Cannot as error:
            return error.fault
        finally:
            limit.stop()
            self.in_flight -= 1

    async def forgotten(self) -> None:
        await self._over.wait()

    async def close(self) -> None:
        """Stop listening, and end a legacy session at the member."""
        if self._listening is not None:
            await self._listening.close()
        if self._session_id is not None:
            await self._farewell("DELETE", b"")
        self._questions.close()
        self._deadlines.close()
        for task in self._farewells:
            task.cancel()

    async def _listen_legacy(self) -> Ending:
        """The GET stream, to its end."""
        try:
            response = await self._transport.open("GET", self._spec.url, self._get_headers(), b"", STREAM)
        except TransportFailure:
            return "failed"
        try:
            if response.status == 200 and is_stream(response):
                await self._read(response, EventReader())
        except TransportFailure:
            return "failed"
        finally:
            response.close()
        if response.status >= 500:
            return "failed"
        return "refused" if response.status >= 400 else "ended"  # 405: no such stream here

    async def _set_log_level(self, wanted: str, deadline: Deadline) -> None:
        """Ask a session of the initialize era for the log messages that this caller wants."""
        if self.era == "legacy" and "logging" in self.capabilities:
            level = self._log_level.raised_by(wanted)
            if level is not None:
                params = {"level": msgspec.Raw(msgspec.json.encode(level))}
                await self._exchange("logging/setLevel", params, deadline, None)

    async def _shake_hands(self, era: Era | None) -> None:
        if era != "legacy":
            self.era, self._stamp = "modern", Stamp("modern")
            reply = await self.request("server/discover", {}, timeout=HANDSHAKE_TIMEOUT_S)
            found = read_discover(reply) if isinstance(reply, msgspec.Raw) else None
            if found is not None:
                self._take(found)
                return
            self._check_probe(reply)
        await self._initialize()

    def _check_probe(self, reply: Reply) -> None:
        """Unless the probe failed below the protocol, whatever was said means: not modern."""
        if isinstance(reply, MemberFault) and reply.code not in ("member_http_error", "member_invalid_reply"):
            raise Cannot(msgspec.structs.replace(reply, stage="handshake"))
        if isinstance(reply, RpcError) and reply.code in MODERN_CODES:
            text = f"{self._spec.name} refused 'server/discover': {reply.message} ({reply.code})."
            raise Cannot(MemberFault(code="member_handshake_failed", message=text, stage="handshake", sent=True))

    async def _initialize(self) -> None:
        self.era, self._stamp = "legacy", Stamp("legacy")
        self._session_id, self.protocol_version = None, ""
        params = {
            "protocolVersion": msgspec.Raw(msgspec.json.encode(LEGACY_VERSIONS[0])),
            "capabilities": msgspec.Raw(self._tenancy.profile.declared),
            "clientInfo": CLIENT_INFO,
        }
        request_id, body = self._body("initialize", params, None)
        headers = self.headers("initialize", params)
        try:
            response = await self._transport.open(
                "POST", self._spec.url, headers, body, timeouts_for(HANDSHAKE_TIMEOUT_S)
            )
            session_id = header_of(response, "mcp-session-id") or None
            reply = await self._answer(response, request_id, None, None)
            response.close()
        except TransportFailure as failure:
            raise Cannot(msgspec.structs.replace(fault_of(self._spec.name, failure), stage="handshake")) from None
        found = read_initialize(reply) if isinstance(reply, msgspec.Raw) else None
        if found is None:
            raise Cannot(self._not_begun(reply))
        self._session_id = session_id
        self._take(found)
        await self._farewell("POST", encode_notification("notifications/initialized", b"{}"))

    def _not_begun(self, reply: Reply) -> MemberFault:
        if isinstance(reply, MemberFault):
            return msgspec.structs.replace(reply, stage="handshake")
        said = f": {reply.message} ({reply.code})" if isinstance(reply, RpcError) else ""
        text = f"{self._spec.name} did not accept 'initialize'{said}."
        return MemberFault(code="member_handshake_failed", message=text, stage="handshake", sent=True)

    async def _renew(self) -> None:
        """Begin the session anew; callers that find it forgotten at the same time share one handshake."""
        if self._renewal is None or self._renewal.done():
            self._renewal = asyncio.get_running_loop().create_task(self._initialize_anew())
        await asyncio.shield(self._renewal)

    async def _initialize_anew(self) -> None:
        await self._initialize()
        self._deadlines = Deadlines()
        self._log_level = LogLevel()
        self._over.set()
        self._over = asyncio.Event()
        if self._listening is not None:
            await self._listening.close()
            self._listen()

    def _listen(self) -> None:
        """Open the stream of notices: of the session (legacy), or for everybody (modern)."""
        if self.era == "legacy":
            self._listening = Listening(self._spec.name, self._listen_legacy, self._on_notification)
        elif not self._tenancy.private:
            self._listening = Listening(self._spec.name, lambda: listen_modern(self, LISTS), self._on_notification)

    def _take(self, handshake: Handshake) -> None:
        self.protocol_version = handshake.protocol_version
        self.capabilities = handshake.capabilities
        self.server_info = handshake.server_info
        self.instructions = handshake.instructions
