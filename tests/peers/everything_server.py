"""A server of exactly one protocol era, over stdio or Streamable HTTP, written for the tests: real servers of the
SDK speak both eras, and whether the hub bridges them can only be seen with one that does not.

``everything_server.py modern|legacy [PORT [sse]]``. What it offers: ``everything_features.py``.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import secrets
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import uvicorn

from tests.peers.everything_features import PROMPTS, RESOURCES, TEMPLATES, TOOLS, Failure, read

MODERN = "2026-07-28"
LEGACY = "2025-11-25"
META = "io.modelcontextprotocol/"
SECRET = secrets.token_bytes(32)
CAPABILITIES = {
    "tools": {"listChanged": True},
    "prompts": {"listChanged": True},
    "resources": {"subscribe": True, "listChanged": True},
    "completions": {},
    "logging": {},
}
Json = dict[str, Any]
Write = Callable[[Json], Awaitable[None]]
LEVELS = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")


class InputRequired(Exception):
    """A modern call cannot go on without these answers."""

    def __init__(self, questions: Json, answers: Json) -> None:
        self.questions, self.answers = questions, answers


class Session:
    """A connection of the initialize era, or all of a modern server."""

    def __init__(self) -> None:
        self.capabilities: Json = {}
        self.level = "info"
        self.subscribed: set[str] = set()
        self.asked: dict[Any, asyncio.Future[Json]] = {}
        self.notify: Write | None = None
        self.listening: dict[Any, tuple[Json, Write]] = {}
        self.running: dict[Any, asyncio.Task[Json | None]] = {}

    async def changed(self, method: str, params: Json) -> None:
        """Tell whoever listens."""
        if self.notify is not None and (
            method != "notifications/resources/updated" or params["uri"] in self.subscribed
        ):
            await self.notify({"jsonrpc": "2.0", "method": method, "params": params})
        kind = method.split("/")[1] + "ListChanged"
        for request_id, (wanted, write) in list(self.listening.items()):
            if wanted.get(kind) or params.get("uri") in wanted.get("resourceSubscriptions", ()):
                tagged = {**params, "_meta": {f"{META}subscriptionId": request_id}}
                await write({"jsonrpc": "2.0", "method": method, "params": tagged})


class Request:
    """``everything_features.Call``."""

    def __init__(self, server: Server, session: Session, message: Json, write: Write) -> None:
        self.server, self.session, self.message, self.write = server, session, message, write
        self.params: Json = message.get("params") or {}
        self.meta: Json = self.params.get("_meta") or {}
        modern = server.modern
        self.capabilities = self.meta.get(f"{META}clientCapabilities", {}) if modern else session.capabilities
        self.level = self.meta.get(f"{META}logLevel") if modern else session.level
        self.used: set[str] = set()
        responses = self.params.get("inputResponses")
        self.answers: Json = {**opened(self.params.get("requestState")), **(responses or {})}

    async def ask(self, **questions: Json) -> Json:
        if self.server.modern:
            # What is asked a second time in one round did not satisfy.
            given = {n: a for n, a in self.answers.items() if isinstance(a, dict) and n not in self.used}
            missing = {n: q for n, q in questions.items() if n not in given}
            if missing:
                raise InputRequired(missing, {n: a for n, a in self.answers.items() if n not in missing})
            self.used.update(questions)
            return {name: given[name] for name in questions}
        answers = await asyncio.gather(*(self._ask_live(name, q) for name, q in questions.items()))
        return dict(zip(questions, answers, strict=True))

    async def _ask_live(self, name: str, question: Json) -> Json:
        request_id = name
        while request_id in self.session.asked:
            request_id += "-"
        answer = self.session.asked[request_id] = asyncio.get_running_loop().create_future()
        await self.write({"jsonrpc": "2.0", "id": request_id, **question})
        try:
            return await answer
        finally:
            del self.session.asked[request_id]

    async def log(self, level: str, data: str) -> None:
        if self.level is not None and LEVELS.index(level) >= LEVELS.index(self.level):
            params = {"level": level, "logger": "everything", "data": data}
            await self.write({"jsonrpc": "2.0", "method": "notifications/message", "params": params})

    async def progress(self, progress: float, total: float) -> None:
        if "progressToken" in self.meta:
            params = {"progressToken": self.meta["progressToken"], "progress": progress, "total": total}
            await self.write({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})

    async def changed(self, what: str) -> None:
        await self.server.tell(f"notifications/{what}/list_changed", {})

    async def visited(self, elicitation: str) -> None:
        await self.server.tell("notifications/elicitation/complete", {"elicitationId": elicitation})

    async def updated(self, uri: str) -> None:
        await self.server.tell("notifications/resources/updated", {"uri": uri})


def sealed(answers: Json) -> str:
    body = base64.urlsafe_b64encode(json.dumps(answers).encode()).decode()
    return f"{body}.{secrets.token_hex(4)}.{hmac.digest(SECRET, body.encode(), 'sha256').hex()}"


def opened(state: str | None) -> Json:
    if state is None:
        return {}
    body, _, seal = state.split(".") if state.count(".") == 2 else ("", "", "")
    if not hmac.compare_digest(hmac.digest(SECRET, body.encode(), hashlib.sha256).hex(), seal):
        raise Failure(-32602, "requestState was changed")
    found: Json = json.loads(base64.urlsafe_b64decode(body))
    return found


def check_mirrors(params: Json, headers: dict[str, str]) -> None:
    """Headers must mirror the method's name and the annotated arguments."""
    region = (params.get("arguments") or {}).get("region")
    sent = headers.get("mcp-param-region")
    if sent is not None and sent.startswith("=?base64?"):
        sent = base64.b64decode(sent[9:-2]).decode()
    if headers.get("mcp-name") != params["name"] or sent != region:
        raise Failure(-32020, "Header mismatch")


class Server:
    """One era; ``handle`` answers one message, writing what comes before the answer."""

    def __init__(self, *, modern: bool) -> None:
        self.modern = modern
        self.sessions: list[Session] = []

    async def tell(self, method: str, params: Json) -> None:
        for session in list(self.sessions):
            await session.changed(method, params)

    async def handle(
        self, session: Session, message: Json, write: Write, headers: dict[str, str] | None = None
    ) -> Json | None:
        """The response to one message; ``None`` for a notification or a response."""
        if "method" not in message:
            waiting = session.asked.get(message.get("id"))
            if waiting is not None and not waiting.done():
                error = message.get("error")
                if error:
                    waiting.set_exception(Failure(-32603, f"the client said: {error['message']}"))
                else:
                    waiting.set_result(message["result"])
            return None
        if message["method"] == "notifications/cancelled" and message["params"]["requestId"] in session.running:
            session.running[message["params"]["requestId"]].cancel()
        if "id" not in message:
            return None
        try:
            if self.modern and message["method"] == "tools/call" and headers is not None:
                check_mirrors(message["params"], headers)
            request = Request(self, session, message, write)
            result = await self.result(request, message["method"])
        except Failure as failure:
            error = {"code": failure.code, "message": failure.message}
            if failure.data is not None:
                error["data"] = failure.data
            return {"jsonrpc": "2.0", "id": message["id"], "error": error}
        except InputRequired as needed:
            asked = {"resultType": "input_required", "inputRequests": needed.questions}
            return {
                "jsonrpc": "2.0",
                "id": message["id"],
                "result": {**asked, "requestState": sealed(needed.answers)},
            }
        if self.modern:
            result = {"resultType": "complete", **result}
            result["_meta"] = {f"{META}serverInfo": {"name": "everything", "version": "1"}, **result.get("_meta", {})}
        return {"jsonrpc": "2.0", "id": message["id"], "result": result}

    async def result(self, request: Request, method: str) -> Json:
        params = request.params
        era = self._modern_only if self.modern else self._legacy_only
        found = await era(request, method)
        if found is not None:
            return found
        if method == "tools/list":
            return self._list("tools", [{"name": n, **spec} for n, (spec, _) in sorted(TOOLS.items())])
        if method == "prompts/list":
            return self._list("prompts", [{"name": n, **spec} for n, (spec, _) in sorted(PROMPTS.items())])
        if method == "resources/list":
            return self._list("resources", RESOURCES)
        if method == "resources/templates/list":
            return self._list("resourceTemplates", TEMPLATES)
        if method == "resources/read":
            hints = {"ttlMs": 1000, "cacheScope": "public"} if self.modern else {}
            return {**read(params["uri"], self.modern), **hints}
        if method == "completion/complete":
            values = [v for v in ("paris", "park") if v.startswith(params["argument"]["value"])]
            return {"completion": {"values": values, "total": len(values), "hasMore": False}}
        table = TOOLS if method == "tools/call" else PROMPTS if method == "prompts/get" else None
        if table is None:
            raise Failure(-32601, f"Method not found: {method}")
        if params.get("name") not in table:
            raise Failure(-32602, f"Unknown: {params.get('name')}")
        return await table[params["name"]][1](params.get("arguments") or {}, request)

    def _list(self, field: str, items: list[Json]) -> Json:
        return {field: items, **({"ttlMs": 1000, "cacheScope": "public"} if self.modern else {})}

    async def _modern_only(self, request: Request, method: str) -> Json | None:
        if f"{META}protocolVersion" not in request.meta:
            raise Failure(-32602, "_meta names no protocol version")
        if method == "server/discover":
            known = {"supportedVersions": [MODERN], "capabilities": CAPABILITIES, "instructions": "Everything."}
            return {**known, "ttlMs": 1000, "cacheScope": "public"}
        if method != "subscriptions/listen":
            return None
        request_id, wanted = request.message["id"], request.params["notifications"]
        tag = {f"{META}subscriptionId": request_id}
        honoured = {"_meta": tag, "notifications": wanted}
        acknowledged = "notifications/subscriptions/acknowledged"
        await request.write({"jsonrpc": "2.0", "method": acknowledged, "params": honoured})
        request.session.listening[request_id] = wanted, request.write
        try:
            await asyncio.Event().wait()
        finally:
            del request.session.listening[request_id]
        return {"_meta": tag}

    async def _legacy_only(self, request: Request, method: str) -> Json | None:
        session, params = request.session, request.params
        if method == "initialize":
            session.capabilities = params.get("capabilities", {})
            info = {"name": "everything", "version": "1"}
            return {"protocolVersion": LEGACY, "capabilities": CAPABILITIES, "serverInfo": info}
        if method == "logging/setLevel":
            session.level = params["level"]
            return {}
        if method == "ping":
            return {}
        if method == "resources/subscribe":
            session.subscribed.add(params["uri"])
            return {}
        if method == "resources/unsubscribe":
            session.subscribed.discard(params["uri"])
            return {}
        return None


async def serve_stdio(server: Server) -> None:
    session = Session()
    server.sessions.append(session)

    async def write(message: Json) -> None:
        sys.stdout.buffer.write(json.dumps(message).encode() + b"\n")
        sys.stdout.buffer.flush()

    async def answer(message: Json) -> Json | None:
        response = await server.handle(session, message, write)
        if response is not None:
            await write(response)
        return response

    session.notify = write if not server.modern else None
    reader = asyncio.StreamReader(limit=2**26)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        message = json.loads(line)
        task = asyncio.create_task(answer(message))
        if "method" in message:
            session.running[message.get("id")] = task


class HttpApp:
    """Streamable HTTP as a plain ASGI application."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.by_id: dict[str, Session] = {}
        self.everybody = Session()
        if server.modern:
            server.sessions.append(self.everybody)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        session = self.everybody if self.server.modern else self.by_id.get(headers.get("mcp-session-id", ""))
        if scope["method"] != "POST":
            if self.server.modern or session is None:
                await reply(send, 405, b"")
            elif scope["method"] == "DELETE":
                self.server.sessions.remove(session)
                del self.by_id[headers["mcp-session-id"]]
                await reply(send, 200, b"")
            else:
                await self._stream(session, receive, send)
            return
        body = b""
        more = True
        while more:
            part = await receive()
            body += part.get("body", b"")
            more = part.get("more_body", False)
        await self._post(json.loads(body), headers, session, receive, send)

    async def _post(
        self, message: Json, headers: dict[str, str], session: Session | None, receive: Any, send: Any
    ) -> None:
        extra = []
        if session is None:
            if message.get("method") != "initialize":
                await reply(send, 400, b'{"error":"no session"}')
                return
            session = Session()
            session_id = secrets.token_hex(8)
            self.by_id[session_id] = session
            self.server.sessions.append(session)
            extra = [(b"mcp-session-id", session_id.encode())]
        stream = EventStream(send, extra)
        task = asyncio.create_task(self.server.handle(session, message, stream.write, headers))
        if "method" in message:
            session.running[message.get("id")] = task
        gone = asyncio.create_task(departure(receive))
        await asyncio.wait((task, gone), return_when="FIRST_COMPLETED")
        gone.cancel()
        if not task.done():
            if self.server.modern:
                task.cancel()
                return
            await asyncio.wait((task,))
        await stream.finish(None if task.cancelled() else task.result())

    async def _stream(self, session: Session, receive: Any, send: Any) -> None:
        stream = EventStream(send, [])
        await stream.start()
        session.notify = stream.write
        await departure(receive)
        session.notify = None


class SseApp:
    """The HTTP+SSE transport of 2024-11-05: answers come on the stream that a GET opened."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.by_id: dict[str, tuple[Session, EventStream]] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        if scope["method"] == "GET":
            await self._stream(receive, send)
            return
        session, stream = self.by_id[scope["query_string"].decode()]
        message = json.loads((await receive())["body"])
        await reply(send, 202, b"")
        task = asyncio.create_task(self.server.handle(session, message, stream.write))
        if "method" in message:
            session.running[message.get("id")] = task
        with suppress(asyncio.CancelledError):
            response = await task
            if response is not None:
                await stream.write(response)

    async def _stream(self, receive: Any, send: Any) -> None:
        session, stream, name = Session(), EventStream(send, []), secrets.token_hex(8)
        session.notify = stream.write
        self.server.sessions.append(session)
        self.by_id[name] = session, stream
        await stream.start()
        endpoint = f"event: endpoint\ndata: /message?{name}\n\n".encode()
        await send({"type": "http.response.body", "body": endpoint, "more_body": True})
        await departure(receive)
        self.server.sessions.remove(session)


class EventStream:
    """An answer that becomes an event stream when something comes before its end."""

    def __init__(self, send: Any, headers: list[tuple[bytes, bytes]]) -> None:
        self.send, self.headers, self.started = send, headers, False

    async def start(self) -> None:
        if not self.started:
            self.started = True
            headers = [(b"content-type", b"text/event-stream"), *self.headers]
            await self.send({"type": "http.response.start", "status": 200, "headers": headers})

    async def write(self, message: Json) -> None:
        await self.start()
        event = b"event: message\ndata: " + json.dumps(message).encode() + b"\n\n"
        await self.send({"type": "http.response.body", "body": event, "more_body": True})

    async def finish(self, message: Json | None) -> None:
        if message is None:
            await reply(self.send, 202, b"")
        elif self.started:
            await self.write(message)
            await self.send({"type": "http.response.body", "body": b""})
        else:
            code = message.get("error", {}).get("code")
            status = 404 if code == -32601 else 400 if code is not None else 200
            await reply(self.send, status, json.dumps(message).encode(), self.headers)


async def departure(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def reply(send: Any, status: int, body: bytes, headers: Any = ()) -> None:
    shown = [(b"content-type", b"application/json"), *headers]
    await send({"type": "http.response.start", "status": status, "headers": shown})
    await send({"type": "http.response.body", "body": body})


def main() -> None:
    server = Server(modern=sys.argv[1] == "modern")
    if len(sys.argv) > 2:
        app = SseApp(server) if sys.argv[3:] == ["sse"] else HttpApp(server)
        uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="warning")
    else:
        asyncio.run(serve_stdio(server))


if __name__ == "__main__":
    main()
