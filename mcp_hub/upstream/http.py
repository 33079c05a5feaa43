"""A session with a member over Streamable HTTP, in either era.

Requests are independent exchanges on the pooled transport, so any number is in flight. Cancelling one
closes its stream (modern) or posts ``notifications/cancelled`` (legacy). A legacy session that the member
has forgotten (404) is begun anew, once, and the request repeated: a 404 means that it was not executed.
"""

from __future__ import annotations

import asyncio

import msgspec

from mcp_hub.seams import LEGACY_VERSIONS, Era, MemberFault, Notification, OnNotification, RawObject, Reply, RpcError
from mcp_hub.upstream.envelope import CLIENT_INFO, Stamp
from mcp_hub.upstream.http_wire import (
    Headers,
    fault_of,
    header_of,
    messages,
    request_headers,
    status_fault,
    timeouts_for,
)
from mcp_hub.upstream.jsonrpc import decode, encode_notification, encode_request
from mcp_hub.upstream.listening import Listening
from mcp_hub.upstream.session import (
    Cannot,
    Handshake,
    OnSessionNotification,
    answer_member,
    read_discover,
    read_initialize,
)
from mcp_hub.upstream.specs import HttpSpec
from policies.egress import ByteResponse, HttpTransport, TransportFailure

HANDSHAKE_TIMEOUT_S = 30.0
ERROR_BYTES = 64 * 1024
MODERN_CODES = range(-32099, -32019)
"""Errors that only a modern server sends: the era is right, the request was not."""
_TOKENED = ("notifications/progress", "notifications/message")


class HttpSession:
    """``mcp_hub.seams.Session`` over HTTP."""

    def __init__(self, spec: HttpSpec, transport: HttpTransport, on_notification: OnSessionNotification) -> None:
        self._spec = spec
        self._transport = transport
        self._on_notification = on_notification
        self._session_id: str | None = None
        self._stamp = Stamp("legacy")
        self._next = 1
        self._renewal: asyncio.Task[None] | None = None
        self._farewells: set[asyncio.Task[None]] = set()
        self._listening: Listening | None = None
        self.in_flight = 0
        self.lost: MemberFault | None = None
        self.era: Era = "legacy"
        self.protocol_version = ""
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
        *,
        listen: bool,
    ) -> HttpSession:
        """Shake hands; ``listen`` also opens the stream of change notices. Raises ``Cannot``."""
        session = cls(spec, transport, on_notification)
        await session._shake_hands(era)
        if listen:
            session._listening = Listening(session, spec, transport, on_notification)
        return session

    @property
    def session_id(self) -> str | None:
        return self._session_id

    async def request(
        self, method: str, params: RawObject, *, timeout: float, on_notification: OnNotification | None = None
    ) -> Reply:
        self.in_flight += 1
        try:
            async with asyncio.timeout(timeout):
                reply = await self._exchange(method, params, timeout, on_notification)
                if isinstance(reply, MemberFault) and reply.code == _FORGOTTEN:
                    await self._renew()
                    reply = await self._exchange(method, params, timeout, on_notification)
                return reply
        except TimeoutError:
            text = f"{self._spec.name} did not answer within {timeout:g} seconds."
            return MemberFault(code="member_timeout", message=text, stage="answer", sent=True)
        except Cannot as error:
            return error.fault
        finally:
            self.in_flight -= 1

    async def close(self) -> None:
        """Stop listening, and end a legacy session at the member."""
        if self._listening is not None:
            await self._listening.close()
        if self._session_id is not None:
            await self._farewell("DELETE", b"")
        for task in self._farewells:
            task.cancel()

    def headers(self, method: str, params: RawObject) -> Headers:
        return request_headers(self._spec.headers, self.era, self.protocol_version, self._session_id, method, params)

    def body(self, method: str, params: RawObject, *, progress: bool) -> tuple[int, bytes]:
        """A request's id and bytes."""
        request_id = self._next
        self._next += 1
        return request_id, encode_request(
            request_id, method, self._stamp.params(params, request_id if progress else None)
        )

    async def _exchange(
        self, method: str, params: RawObject, timeout: float, on_notification: OnNotification | None
    ) -> Reply:
        request_id, body = self.body(method, params, progress=on_notification is not None)
        headers = self.headers(method, params)
        try:
            response = await self._transport.open("POST", self._spec.url, headers, body, timeouts_for(timeout))
            try:
                return await self._answer(response, request_id, on_notification)
            finally:
                response.close()
        except TransportFailure as failure:
            return fault_of(self._spec.name, failure)
        except asyncio.CancelledError:
            self._abandon(request_id, method)
            raise

    async def _answer(self, response: ByteResponse, request_id: int, on_notification: OnNotification | None) -> Reply:
        if response.status >= 400:
            return await self._refused(response)
        wanted = b"%d" % request_id
        async for message in messages(response):
            if message.kind == "notification":
                self._notified(Notification(message.method or "", message.params), on_notification)
            elif message.kind == "request":
                self._say(answer_member(message))
            elif message.id == wanted:
                reply = message.error if message.kind == "error" else message.result
                if reply is not None:
                    return reply
        text = f"{self._spec.name} ended its answer without a result."
        return MemberFault(code="member_invalid_reply", message=text, stage="answer", sent=True)

    async def _refused(self, response: ByteResponse) -> Reply:
        """A 4xx or 5xx: the modern wire sends JSON-RPC errors with them, the legacy one mostly bare."""
        message = decode(await response.read(ERROR_BYTES))
        if response.status == 404 and self._session_id is not None and (message is None or message.id is None):
            text = f"{self._spec.name} has forgotten the session."
            return MemberFault(code=_FORGOTTEN, message=text, stage="request", sent=False)
        if message is not None and message.error is not None:
            return message.error
        return status_fault(self._spec.name, response.status, header_of(response, "retry-after") or None)

    def _notified(self, notification: Notification, on_notification: OnNotification | None) -> None:
        if notification.method in _TOKENED:
            if on_notification is not None:
                on_notification(notification)
        else:
            self._on_notification(notification)

    async def _shake_hands(self, era: Era | None) -> None:
        if era != "legacy":
            self.era, self._stamp = "modern", Stamp("modern")
            reply = await self._exchange("server/discover", {}, HANDSHAKE_TIMEOUT_S, None)
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
            "capabilities": msgspec.Raw(b"{}"),
            "clientInfo": CLIENT_INFO,
        }
        request_id, body = self.body("initialize", params, progress=False)
        headers = self.headers("initialize", params)
        try:
            response = await self._transport.open(
                "POST", self._spec.url, headers, body, timeouts_for(HANDSHAKE_TIMEOUT_S)
            )
            session_id = header_of(response, "mcp-session-id") or None
            reply = await self._answer(response, request_id, None)
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
            self._renewal = asyncio.get_running_loop().create_task(self._initialize())
        await asyncio.shield(self._renewal)

    def _take(self, handshake: Handshake) -> None:
        self.protocol_version = handshake.protocol_version
        self.capabilities = handshake.capabilities
        self.server_info = handshake.server_info
        self.instructions = handshake.instructions

    def _abandon(self, request_id: int, method: str) -> None:
        """Closing the stream is cancelling in the modern era; the legacy one wants to be told."""
        if self.era == "legacy" and method != "initialize":
            params = b'{"requestId":%d,"reason":"The caller left."}' % request_id
            self._say(encode_notification("notifications/cancelled", params))

    def _say(self, message: bytes) -> None:
        """Post a message that has no answer, without waiting."""
        task = asyncio.get_running_loop().create_task(self._farewell("POST", message))
        self._farewells.add(task)
        task.add_done_callback(self._farewells.discard)

    async def _farewell(self, method: str, body: bytes) -> None:
        """An exchange whose failure changes nothing."""
        headers = self.headers("", {})
        try:
            response = await self._transport.open(
                method, self._spec.url, headers, body, timeouts_for(HANDSHAKE_TIMEOUT_S)
            )
            await response.read(ERROR_BYTES)
            response.close()
        except TransportFailure:
            return


_FORGOTTEN = "member_session_forgotten"
