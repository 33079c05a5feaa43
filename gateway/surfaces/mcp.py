"""The MCP endpoint: ``/mcp`` for everything a key may use, ``/mcp/{server}`` for one server.

Both protocol eras on one address. What decides the era is what the request says of itself: a handshake
version in the header, or no modern ``_meta`` at all, is the initialize era; everything else is modern,
so that a client of an unknown version learns which ones there are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from gateway.surfaces.credentials import identify
from gateway.surfaces.discovery import PublicUrl, challenge
from gateway.surfaces.http import (
    JSON,
    BodyTooLarge,
    Client,
    ClientGone,
    Receive,
    Scope,
    Send,
    headers_of,
    read_body,
    send_bytes,
    send_json,
)
from gateway.surfaces.mcp_answers import Answer
from gateway.surfaces.mcp_batches import answer_batch, is_batch, never, read_batch
from gateway.surfaces.mcp_calls import CallParts, McpCalls
from gateway.surfaces.mcp_exchange import Exchange, give, server_of
from gateway.surfaces.mcp_notices import McpNotices
from gateway.surfaces.mcp_requests import CALLS, LISTS, Asker
from gateway.surfaces.mcp_streams import change_stream
from mcp_hub.capabilities import NOTHING, Profile, read_profile
from mcp_hub.error_codes import INVALID_REQUEST, METHOD_NOT_FOUND
from mcp_hub.seams import CANCELLED, LEGACY_VERSIONS
from mcp_hub.subscriptions import Viewer
from mcp_hub.wire import legacy, modern
from mcp_hub.wire.client_sessions import ClientFacts, ClientSession, ClientSessions
from mcp_hub.wire.messages import Message, WireError, answer_of, error_bytes, log_level, read_message, result_bytes
from policies.identity import Directory
from policies.ids import new_call_id
from policies.types import CallContext, Refusal, ToolCall

SESSION_HEADER = "mcp-session-id"
JSON_TYPE = "application/json"


@dataclass(frozen=True)
class McpParts:
    """What the surface is composed of."""

    calls: CallParts
    sessions: ClientSessions
    directory: Directory
    clock: Callable[[], int]
    max_body_bytes: int
    public_url: PublicUrl


class McpSurface:
    """The ASGI callable of ``/mcp`` and ``/mcp/{server}``."""

    def __init__(self, parts: McpParts) -> None:
        self._parts = parts
        self._hub = parts.calls.hub
        self._requests = parts.calls.requests
        self._calls = McpCalls(parts.calls)
        self._notices = McpNotices(self._hub, self._requests, parts.directory)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started_ns = self._parts.clock()
        headers = headers_of(scope)
        key = identify(self._parts.directory, headers)
        if isinstance(key, Refusal):
            context = CallContext(call_id=new_call_id(started_ns), started_ns=started_ns, surface="mcp")
            self._parts.calls.passage.refuse(None, ToolCall(context=context, server="", name=""), key)
            await _refuse_identity(send, key, challenge(self._parts.public_url(scope), scope["path"]))
            return
        server = server_of(scope["path"])
        if server is not None and not self._hub.knows(server, key):
            await send_json(send, 404, {"error": {"code": "unknown_server", "message": f"Unknown server: {server}"}})
            return
        exchange = Exchange(Client(scope, receive, send), headers, key, server, started_ns)
        try:
            if scope["method"] == "POST":
                await self._post(exchange)
            elif scope["method"] == "GET":
                await self._get(exchange)
            elif scope["method"] == "DELETE":
                await self._delete(exchange)
            else:
                await _not_allowed(send)
        except WireError as error:
            body = error_bytes(error.request_id, error.code, error.message, error.data)
            await send_bytes(send, error.status, (JSON,), body)
        except ClientGone:
            return

    async def _post(self, exchange: Exchange) -> None:
        body = await self._body(exchange)
        if is_batch(body):
            await self._batch(exchange, body)
            return
        message = read_message(body)
        if exchange.is_legacy(message):
            await self._legacy(exchange, message)
        else:
            await self._modern(exchange, message)

    async def _batch(self, exchange: Exchange, body: bytes) -> None:
        messages = read_batch(body, self._session(exchange).version)

        async def handle(send: Send, message: Message) -> None:
            # The protocol can answer, and call back, one message a request: a batch has more.
            alone = Client({**exchange.client.scope, "extensions": {}}, never, send)
            await self._legacy(msgspec.structs.replace(exchange, client=alone, batched=True), message)

        answer = await answer_batch(messages, handle)
        await send_bytes(exchange.client.send, 200 if answer else 202, (JSON,) if answer else (), answer)

    async def _body(self, exchange: Exchange) -> bytes:
        content_type = exchange.headers.get("content-type", "")
        if content_type != JSON_TYPE and content_type.partition(";")[0].strip().lower() != JSON_TYPE:
            data = {"code": "unsupported_content_type"}
            raise WireError(INVALID_REQUEST, "Content-Type must be application/json", status=415, data=data)
        try:
            return await read_body(exchange.headers, exchange.client.receive, self._parts.max_body_bytes)
        except BodyTooLarge as error:
            raise WireError(INVALID_REQUEST, str(error), status=413, data={"code": "body_too_large"}) from None

    async def _modern(self, exchange: Exchange, message: Message) -> None:
        modern.validate(message, exchange.headers, exchange.repeated_headers())
        if message.request_id is None:
            await send_bytes(exchange.client.send, 202, (), b"")
            return
        profile = read_profile(bytes(message.meta[modern.META_CAPABILITIES]))
        asker = Asker(exchange.key, exchange.server, profile, era="modern")
        if message.method == "subscriptions/listen":
            await self._notices.listen(exchange, asker, message, message.request_id)
        elif message.method in CALLS:
            await self._calls.call(exchange, asker, message, message.request_id, None)
        elif message.method == "server/discover":
            await self._hub.ready(asker)
            await give(exchange, self._requests.discover(asker, message.request_id))
        else:
            await self._list(exchange, asker, message, message.request_id)

    async def _legacy(self, exchange: Exchange, message: Message) -> None:
        if message.method == "initialize" and message.request_id is not None:
            await self._initialize(exchange, message, message.request_id)
            return
        session = self._session(exchange)
        profile = NOTHING if exchange.batched else session.profile
        asker = _older(exchange, session, profile)
        if message.request_id is None or message.method is None:
            await self._told(exchange, asker, session, message)
            await send_bytes(exchange.client.send, 202, (), b"")
        elif message.method in CALLS:
            await self._calls.call(exchange, asker, message, message.request_id, session)
        elif message.method in ("resources/subscribe", "resources/unsubscribe"):
            await give(exchange, self._notices.subscribe(asker, session, message, message.request_id))
        elif message.method in LISTS:
            await self._list(exchange, asker, message, message.request_id)
        elif message.method in ("ping", "logging/setLevel"):
            if message.method == "logging/setLevel":
                session.log_level = log_level(message)
            await give(exchange, Answer(200, result_bytes(message.request_id, b"{}")))
        else:
            raise WireError(METHOD_NOT_FOUND, "Method not found", status=200, request_id=message.request_id)

    async def _initialize(self, exchange: Exchange, message: Message, request_id: bytes) -> None:
        version = legacy.negotiate(message)
        declared = message.params.get("capabilities")
        profile = read_profile(bytes(declared) if declared is not None else None)
        await self._hub.ready(Viewer(exchange.key, exchange.server, profile))
        session = self._parts.sessions.open(exchange.key, exchange.server, ClientFacts(version, profile))
        if session is None:
            data = {"code": "too_many_sessions"}
            raise WireError(INVALID_REQUEST, "Too many sessions are open", status=429, request_id=request_id, data=data)
        asker = _older(exchange, session, profile)
        answer = self._requests.initialize(asker, version, request_id)
        await give(exchange, answer, (SESSION_HEADER, session.session_id))

    async def _list(self, exchange: Exchange, asker: Asker, message: Message, request_id: bytes) -> None:
        await self._hub.ready(asker)
        await give(exchange, self._requests.list_answer(asker, message, request_id))

    async def _get(self, exchange: Exchange) -> None:
        """The stream of change notices of a legacy session; the modern wire has none."""
        if exchange.headers.get("mcp-protocol-version", LEGACY_VERSIONS[0]) not in LEGACY_VERSIONS:
            await _not_allowed(exchange.client.send)
            return
        if "text/event-stream" not in exchange.headers.get("accept", ""):
            raise WireError(INVALID_REQUEST, "Accept must include text/event-stream", status=406)
        session = self._session(exchange)
        if session.notices is not None:
            raise WireError(INVALID_REQUEST, "This session already has a stream", status=409)
        session.notices = self._hub.subscribe(Viewer(exchange.key, exchange.server, session.profile))
        try:
            await change_stream(self._notices.line(exchange), session.notices)
        finally:
            session.notices = None

    async def _delete(self, exchange: Exchange) -> None:
        if "mcp-session-id" not in exchange.headers:
            await _not_allowed(exchange.client.send)
            return
        self._parts.sessions.close(self._session(exchange))
        await send_bytes(exchange.client.send, 200, (), b"")

    def _session(self, exchange: Exchange) -> ClientSession:
        """The client's session. Raises ``WireError``: 400 without an id, 404 for any id that is not alive
        and this key's, so that the client initializes anew."""
        session_id = exchange.headers.get("mcp-session-id")
        if session_id is None:
            raise WireError(INVALID_REQUEST, "Mcp-Session-Id is missing: initialize first")
        session = self._parts.sessions.find(session_id, exchange.key, exchange.server)
        if session is None:
            raise WireError(INVALID_REQUEST, "Session not found", status=404)
        return session

    async def _told(self, exchange: Exchange, asker: Asker, session: ClientSession, message: Message) -> None:
        """A notification, or the answer to a question. A cancellation ends exactly the call it names; one that
        has ended, or never was, is ignored."""
        if message.method is None:
            session.answered(message.request_id or b"", answer_of(message))
        elif message.method == CANCELLED:
            session.cancel(bytes(message.params.get("requestId", b"")))


def _older(exchange: Exchange, session: ClientSession, profile: Profile) -> Asker:
    """Who asks in a session of the initialize era."""
    key, server = exchange.key, exchange.server
    return Asker(key, server, profile, era="legacy", session=session.session_id, version=session.version)


async def _not_allowed(send: Send) -> None:
    body = error_bytes(b"null", INVALID_REQUEST, "Use POST")
    await send_bytes(send, 405, (JSON, (b"allow", b"POST")), body)


async def _refuse_identity(send: Send, refusal: Refusal, challenge: bytes) -> None:
    """401, with where to read how to authenticate."""
    body = msgspec.json.encode(
        {
            "jsonrpc": "2.0",
            "id": None,
            "error": {"code": 401, "message": refusal.message, "data": {"code": refusal.code}},
        }
    )
    await send_bytes(send, 401, (JSON, (b"www-authenticate", challenge)), body)
