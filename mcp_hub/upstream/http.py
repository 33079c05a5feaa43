"""A session with a member over Streamable HTTP, in either era.

Requests are independent exchanges on the pooled transport, so any number is in flight. Cancelling one
closes its stream (modern) or posts ``notifications/cancelled`` (legacy). A legacy session that the member
has forgotten (404) is begun anew, once, and the request repeated: a 404 means that it was not executed.
"""

from __future__ import annotations

import asyncio

import msgspec

from mcp_hub.log_levels import LogLevel
from mcp_hub.seams import LEGACY_VERSIONS, Caller, Era, MemberFault, Notification, RawObject, Reply, RpcError
from mcp_hub.upstream.deadline import Deadline
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
from mcp_hub.upstream.jsonrpc import decode, encode_notification, encode_object, encode_request
from mcp_hub.upstream.listening import DAY_S, LISTS, Listening, listen_modern
from mcp_hub.upstream.questions import Questions, cancelled_request
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
from policies.egress import ByteResponse, HttpTransport, Timeouts, TransportFailure

HANDSHAKE_TIMEOUT_S = 30.0
ERROR_BYTES = 64 * 1024
MODERN_CODES = range(-32099, -32019)
"""Errors that only a modern server sends: the era is right, the request was not."""
_PROGRESS, _LOG, _CANCELLED = "notifications/progress", "notifications/message", "notifications/cancelled"
_STREAM = Timeouts(connect=10.0, head=30.0, idle=DAY_S)


class HttpSession:
    """``mcp_hub.seams.Session`` over HTTP."""

    def __init__(
        self, spec: HttpSpec, transport: HttpTransport, on_notification: OnSessionNotification, tenancy: Tenancy
    ) -> None:
        self._spec = spec
        self._tenancy = tenancy
        self._questions = Questions(self._say, declared=tenancy.profile.interactive)
        self._log_level = LogLevel()
        self._over = asyncio.Event()
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
        timer: asyncio.Timeout | None = None
        loop = asyncio.get_running_loop()

        def expire() -> None:
            if timer is not None:
                timer.reschedule(loop.time())

        deadline = Deadline(timeout, expire)
        try:
            async with asyncio.timeout(None) as timer:
                await self._set_log_level(caller, deadline)
                reply = await self._exchange(method, params, deadline, caller)
                if isinstance(reply, MemberFault) and reply.code == _FORGOTTEN:
                    await self._renew()
                    reply = await self._exchange(method, params, deadline, caller)
                return reply
        except TimeoutError:
            text = f"{self._spec.name} did not answer within {timeout:g} seconds."
            return MemberFault(code="member_timeout", message=text, stage="answer", sent=True)
        except Cannot as error:
            return error.fault
        finally:
            deadline.stop()
            self.in_flight -= 1

    async def forgotten(self) -> None:
        await self._over.wait()

    async def notify(self, method: str, params: RawObject) -> None:
        if self.era == "legacy":
            await self._farewell("POST", encode_notification(method, encode_object(params)))

    async def close(self) -> None:
        """Stop listening, and end a legacy session at the member."""
        if self._listening is not None:
            await self._listening.close()
        if self._session_id is not None:
            await self._farewell("DELETE", b"")
        self._questions.close()
        for task in self._farewells:
            task.cancel()

    def headers(self, method: str, params: RawObject) -> Headers:
        return request_headers(self._spec.headers, self.era, self.protocol_version, self._session_id, method, params)

    def _body(self, method: str, params: RawObject, caller: Caller | None) -> tuple[int, bytes]:
        """A request's id and bytes."""
        request_id = self._next
        self._next += 1
        progress = request_id if caller is not None and caller.wants_progress else None
        return request_id, encode_request(request_id, method, self._stamp.params(params, progress, caller))

    async def _exchange(self, method: str, params: RawObject, deadline: Deadline, caller: Caller | None) -> Reply:
        request_id, body = self._body(method, params, caller)
        asked = caller is not None and self.era == "legacy"
        if asked and caller is not None:
            self._questions.began(request_id, caller, deadline)
        answered = False
        try:
            headers = self.headers(method, params)
            if caller is not None and self.era == "modern":
                headers.extend(caller.mirrored)
            response = await self._transport.open("POST", self._spec.url, headers, body, _CALL)
            try:
                reply = await self._answer(response, request_id, deadline, caller)
            finally:
                response.close()
            answered = not isinstance(reply, MemberFault)
            return reply
        except TransportFailure as failure:
            return fault_of(self._spec.name, failure)
        except asyncio.CancelledError:
            self._abandon(request_id, method)
            raise
        finally:
            if asked:
                self._questions.ended(request_id, answered=answered)

    async def _answer(
        self, response: ByteResponse, request_id: int, deadline: Deadline | None, caller: Caller | None
    ) -> Reply:
        if response.status >= 400:
            return await self._refused(response)
        reader = EventReader()
        reply = await self._read(response, reader, request_id, deadline, caller)
        while reply is None and self.era == "legacy" and reader.last_id is not None:
            # The server has ended the stream on purpose; the answer comes on the next one (SEP-1699).
            await asyncio.sleep(reader.retry_s)
            headers = [*self._get_headers(), ("last-event-id", reader.last_id)]
            again = await self._transport.open("GET", self._spec.url, headers, b"", _STREAM)
            try:
                if again.status != 200:
                    break
                reply = await self._read(again, reader, request_id, deadline, caller)
            finally:
                again.close()
        if reply is not None:
            return reply
        text = f"{self._spec.name} ended its answer without a result."
        return MemberFault(code="member_invalid_reply", message=text, stage="answer", sent=True)

    async def _read(
        self,
        response: ByteResponse,
        reader: EventReader,
        request_id: int,
        deadline: Deadline | None,
        caller: Caller | None,
    ) -> Reply | None:
        """The answer on one stream; ``None`` when it ended before."""
        wanted = b"%d" % request_id
        async for message in messages(response, reader):
            if message.kind == "notification":
                self._notified(Notification(message.method or "", message.params), deadline, caller)
            elif message.kind == "request":
                self._questions.received(message, request_id)
            elif message.id == wanted:
                reply = message.error if message.kind == "error" else message.result
                if reply is not None:
                    return reply
        return None

    def _get_headers(self) -> Headers:
        """Of a GET that opens an event stream."""
        kept = [(n, v) for n, v in self.headers("", {}) if n not in ("content-type", "accept")]
        return [*kept, ("accept", "text/event-stream")]

    async def _refused(self, response: ByteResponse) -> Reply:
        """A 4xx or 5xx: the modern wire sends JSON-RPC errors with them, the legacy one mostly bare."""
        message = decode(await response.read(ERROR_BYTES))
        if response.status == 404 and self._session_id is not None and (message is None or message.id is None):
            text = f"{self._spec.name} has forgotten the session."
            return MemberFault(code=_FORGOTTEN, message=text, stage="request", sent=False)
        if message is not None and message.error is not None:
            return message.error
        return status_fault(self._spec.name, response.status, header_of(response, "retry-after") or None)

    def _notified(self, notification: Notification, deadline: Deadline | None, caller: Caller | None) -> None:
        """A notification on the stream of a request."""
        if notification.method == _PROGRESS and deadline is not None:
            deadline.progressed()
        if notification.method in (_PROGRESS, _LOG):
            if caller is not None:
                caller.notified(notification)
        elif notification.method == _CANCELLED:
            self._questions.cancelled(cancelled_request(notification.params))
        else:
            self._on_notification(notification)

    async def _listen_legacy(self) -> bool | None:
        """The GET stream, to its end."""
        try:
            response = await self._transport.open("GET", self._spec.url, self._get_headers(), b"", _STREAM)
        except TransportFailure:
            return None
        try:
            if response.status == 200:
                async for message in messages(response):
                    if message.kind == "notification":
                        self._notified(Notification(message.method or "", message.params), None, None)
                    elif message.kind == "request":
                        self._questions.received(message)
        except TransportFailure:
            return None
        finally:
            response.close()
        if response.status >= 500:
            return None
        return response.status >= 400  # 405: no such stream here

    async def _set_log_level(self, caller: Caller | None, deadline: Deadline) -> None:
        """Ask a session of the initialize era for the log messages that this caller wants."""
        if self.era == "legacy" and caller is not None and "logging" in self.capabilities:
            level = self._log_level.raised_by(caller.log_level)
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
_CALL = Timeouts(connect=10.0, head=DAY_S, idle=DAY_S)
"""How long a call may take is the deadline's business: it stands still while a person is asked."""
