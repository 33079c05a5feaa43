"""Exchanges with a member over Streamable HTTP: one request each, with what comes before its answer.

The answer may come on a later stream, when a server of the initialize era has ended the first one on purpose
(https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#streamable-http).
"""

from __future__ import annotations

import asyncio

from mcp_hub.seams import CANCELLED, LOG, PROGRESS, Caller, Era, MemberFault, Notification, RawObject, Reply, RpcError
from mcp_hub.upstream.deadline import Deadline
from mcp_hub.upstream.envelope import Stamp
from mcp_hub.upstream.http_wire import (
    Headers,
    fault_of,
    header_of,
    is_stream,
    messages,
    request_headers,
    session_headers,
    status_fault,
    timeouts_for,
)
from mcp_hub.upstream.jsonrpc import MAX_MESSAGE_BYTES, Incoming, decode, encode_notification, encode_request
from mcp_hub.upstream.listening import DAY_S
from mcp_hub.upstream.questions import Questions, cancelled_request
from mcp_hub.upstream.session import OnSessionNotification, Tenancy
from mcp_hub.upstream.specs import HttpSpec
from mcp_hub.upstream.sse import EventReader
from policies.egress import ByteResponse, HttpTransport, Timeouts, TransportFailure

HANDSHAKE_TIMEOUT_S = 30.0
ERROR_BYTES = 64 * 1024
FORGOTTEN = "member_session_forgotten"
STREAM = Timeouts(connect=10.0, head=30.0, idle=DAY_S)
_CALL = Timeouts(connect=10.0, head=DAY_S, idle=DAY_S)
"""How long a call may take is the deadline's business: it stands still while a person is asked."""


class HttpExchanges:
    """The exchanges of one session, and what they need of it."""

    def __init__(
        self, spec: HttpSpec, transport: HttpTransport, on_notification: OnSessionNotification, tenancy: Tenancy
    ) -> None:
        self._spec = spec
        self._tenancy = tenancy
        self._transport = transport
        self._on_notification = on_notification
        self._questions = Questions(self.say, declared=tenancy.profile.interactive)
        self._session_id: str | None = None
        self._facts: tuple[Era, str, str | None] | None = None
        """What ``_plain``, the headers of every request of the session, were made of."""
        self._plain: Headers = []
        self._stamp = Stamp("legacy")
        self._next = 1
        self._farewells: set[asyncio.Task[None]] = set()
        self.era: Era = "legacy"
        self.protocol_version = ""

    def headers(self, method: str, params: RawObject) -> Headers:
        facts = (self.era, self.protocol_version, self._session_id)
        if facts != self._facts:
            self._facts, self._plain = facts, session_headers(self._spec.headers, *facts)
        return request_headers(self._plain, self.era, method, params)

    def _body(self, method: str, params: RawObject, caller: Caller | None) -> tuple[int, bytes]:
        """A request's id and bytes."""
        request_id = self._next
        self._next += 1
        progress = request_id if caller is not None and caller.wants_progress else None
        return request_id, encode_request(request_id, method, self._stamp.params(params, progress, caller))

    async def _exchange(self, method: str, params: RawObject, deadline: Deadline, caller: Caller | None) -> Reply:
        request_id, body = self._body(method, params, caller)
        asker = caller if self.era == "legacy" else None
        if asker is not None:
            self._questions.began(request_id, asker, deadline)
        answered = False
        try:
            headers = self.headers(method, params)
            if self.era == "modern" and caller is not None and (mirrored := caller.mirrored):
                headers = [*headers, *mirrored]
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
            if asker is not None:
                self._questions.ended(request_id, answered=answered)

    async def _answer(
        self, response: ByteResponse, request_id: int, deadline: Deadline | None, caller: Caller | None
    ) -> Reply:
        if response.status >= 400:
            return await self._refused(response)
        if is_stream(response):
            reply = await self._streamed(response, request_id, deadline, caller)
        else:
            whole = decode(await response.read(MAX_MESSAGE_BYTES))
            reply = self._reply_in(whole, request_id, deadline, caller) if whole is not None else None
        if reply is not None:
            return reply
        text = f"{self._spec.name} ended its answer without a result."
        return MemberFault(code="member_invalid_reply", message=text, stage="answer", sent=True)

    async def _streamed(
        self, response: ByteResponse, request_id: int, deadline: Deadline | None, caller: Caller | None
    ) -> Reply | None:
        """The answer on a stream, or on a later one."""
        reader = EventReader()
        reply = await self._read(response, reader, request_id, deadline, caller)
        while reply is None and self.era == "legacy" and reader.last_id is not None:
            # The server has ended the stream on purpose; the answer comes on the next one (SEP-1699).
            await asyncio.sleep(reader.retry_s)
            headers = [*self._get_headers(), ("last-event-id", reader.last_id)]
            again = await self._transport.open("GET", self._spec.url, headers, b"", STREAM)
            try:
                if again.status != 200:
                    break
                reply = await self._read(again, reader, request_id, deadline, caller)
            finally:
                again.close()
        return reply

    async def _read(
        self,
        response: ByteResponse,
        reader: EventReader,
        request_id: int | None = None,
        deadline: Deadline | None = None,
        caller: Caller | None = None,
    ) -> Reply | None:
        """The answer on the stream that ``reader`` reads; ``None`` when it ended before, or is no request's (the GET
        stream)."""
        async for message in messages(response, reader):
            reply = self._reply_in(message, request_id, deadline, caller)
            if reply is not None:
                return reply
        return None

    def _reply_in(
        self, message: Incoming, request_id: int | None, deadline: Deadline | None, caller: Caller | None
    ) -> Reply | None:
        """One message of the member; the reply if it is the one to ``request_id``."""
        if message.kind == "notification":
            self._notified(Notification(message.method or "", message.params), deadline, caller)
        elif message.kind == "request":
            self._questions.received(message, request_id)
        elif request_id is not None and message.id == b"%d" % request_id:
            return message.reply
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
            return MemberFault(code=FORGOTTEN, message=text, stage="request", sent=False)
        if message is not None and isinstance(message.reply, RpcError):
            return message.reply
        return status_fault(self._spec.name, response.status, header_of(response, "retry-after") or None)

    def _notified(self, notification: Notification, deadline: Deadline | None, caller: Caller | None) -> None:
        """A notification on the stream of a request."""
        if notification.method == PROGRESS and deadline is not None:
            deadline.progressed()
        if notification.method in (PROGRESS, LOG):
            if caller is not None:
                caller.notified(notification)
        elif notification.method == CANCELLED:
            self._questions.cancelled(cancelled_request(notification.params))
        else:
            self._on_notification(notification)

    def _abandon(self, request_id: int, method: str) -> None:
        """Closing the stream is cancelling in the modern era; the legacy one wants to be told."""
        if self.era == "legacy" and method != "initialize":
            params = b'{"requestId":%d,"reason":"The caller left."}' % request_id
            self.say(encode_notification(CANCELLED, params))

    def say(self, message: bytes) -> None:
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
