"""A scripted model provider on loopback: Anthropic messages, OpenAI chat, responses, embeddings, Gemini, Converse.

It keeps its own bill (``bill``: the usage that it reported) and every request as it came, so that a test
compares bytes and sums. What it answers is scripted: a plan of tool calls, and faults per request.
"""

from __future__ import annotations

import asyncio
import base64
import json
import struct
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.peers import llm_replies as replies

Fault = Callable[[web.Request], Coroutine[Any, Any, web.StreamResponse]]


@dataclass(frozen=True)
class Seen:
    """One request as it arrived."""

    path: str
    query: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.body)


@dataclass
class ToolStep:
    """One tool call that the model makes, once; ``tool`` is the exact name offered by the client."""

    tool: str
    arguments: dict[str, Any]


@dataclass
class ScriptedLLM:
    """Start with ``async with``; ``base`` is the address without ``/v1``."""

    plan: list[ToolStep] = field(default_factory=list)
    text: str = "scripted answer"
    seen: list[Seen] = field(default_factory=list)
    bill: list[replies.Tokens] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    vector: Callable[[str], list[float]] = field(default=lambda _: [0.25, -0.5, 1.0])
    tokens: replies.Tokens = field(default_factory=replies.Tokens)
    gate: asyncio.Event | None = None
    arrived: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    gone: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    base: str = ""

    def reset(self) -> None:
        """Forget requests, plan and faults."""
        self.plan, self.seen, self.bill, self.faults = [], [], [], []
        self.tokens, self.gate = replies.Tokens(), None
        self.vector = lambda _: [0.25, -0.5, 1.0]
        self.arrived, self.gone = asyncio.Semaphore(0), asyncio.Semaphore(0)

    async def __aenter__(self) -> ScriptedLLM:
        app = web.Application(client_max_size=128 * 1024 * 1024)
        for path, handler in (
            ("/v1/messages", self._messages),
            ("/v1/messages/count_tokens", self._count),
            ("/v1/chat/completions", self._chat),
            ("/v1/responses", self._responses),
            ("/v1/embeddings", self._embeddings),
            (r"/{version:v1|v1beta}/models/{model:[^:]+}:{method}", self._gemini),
            (r"/model/{model}/{method:converse|converse-stream}", self._converse),
        ):
            for place in (path, f"/openai{path}", f"/openai/deployments/{{deployment}}{path.removeprefix('/v1')}"):
                app.router.add_post(place, self._guarded(handler))
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.base = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    def _guarded(self, handler: Callable[..., Coroutine[Any, Any, web.StreamResponse]]) -> Any:
        async def handle(request: web.Request) -> web.StreamResponse:
            body = await request.read()
            headers = {name.lower(): value for name, value in request.headers.items()}
            self.seen.append(Seen(request.path, request.query_string, headers, body))
            self.arrived.release()
            try:
                if self.gate is not None:
                    await self.gate.wait()
                if self.faults:
                    return await self.faults.pop(0)(request)
                return await handler(request, json.loads(body))
            except (asyncio.CancelledError, ConnectionResetError):
                self.gone.release()
                raise

        return handle

    def _next_step(self, done: int) -> ToolStep | None:
        return self.plan[done] if done < len(self.plan) else None

    def _billed(self) -> replies.Tokens:
        self.bill.append(self.tokens)
        return self.tokens

    async def _messages(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        blocks = [b for m in body["messages"] if isinstance(m["content"], list) for b in m["content"]]
        step = self._next_step(sum(b.get("type") == "tool_result" for b in blocks))
        step = step if body.get("tools") else None
        message = replies.message(len(self.seen), body["model"], self.text, step, self._billed())
        headers = {"request-id": f"req_{len(self.seen)}"}
        if not body.get("stream"):
            return web.json_response(message, headers=headers)
        return await send_events(request, replies.message_events(message), headers)

    async def _count(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return web.json_response({"input_tokens": 42})

    async def _chat(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        step = self._next_step(sum(m["role"] == "tool" for m in body["messages"])) if body.get("tools") else None
        completion = replies.completion(len(self.seen), body["model"], self.text, step, self._billed())
        headers = {"x-request-id": f"req_{len(self.seen)}"}
        if not body.get("stream"):
            return web.json_response(completion, headers=headers)
        usage = bool((body.get("stream_options") or {}).get("include_usage"))
        return await send_events(request, replies.completion_events(completion, usage=usage), headers)

    async def _responses(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        items = body["input"] if isinstance(body["input"], list) else []
        done = sum(item.get("type") == "function_call_output" for item in items)
        step = self._next_step(done) if body.get("tools") else None
        response = replies.response(len(self.seen), body["model"], self.text, step, self._billed())
        if not body.get("stream"):
            return web.json_response(response)
        return await send_events(request, replies.response_events(response), {})

    async def _gemini(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        method, model = request.match_info["method"], request.match_info["model"]
        if method == "countTokens":
            return web.json_response({"totalTokens": 42})
        if method.endswith("mbedContent") or method == "batchEmbedContents":
            values = {"values": self.vector(str(body))}
            self._billed()
            many = method == "batchEmbedContents"
            return web.json_response(
                {"embeddings": [values] * len(body["requests"])} if many else {"embedding": values}
            )
        parts = [part for content in body["contents"] for part in content.get("parts", ())]
        step = self._next_step(sum("functionResponse" in part for part in parts)) if body.get("tools") else None
        reply = replies.gemini(model, self.text, step, self._billed())
        if method == "generateContent":
            return web.json_response(reply)
        return await send_events(request, replies.gemini_events(reply), {})

    async def _converse(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        from tests.peers.converse_replies import converse, converse_events  # needs AWS's models, as few tests do

        blocks = [block for message in body["messages"] for block in message["content"]]
        step = self._next_step(sum("toolResult" in block for block in blocks)) if body.get("toolConfig") else None
        reply = converse(len(self.seen), self.text, step, self._billed())
        if request.match_info["method"] == "converse":
            return web.json_response(reply)
        headers = {"content-type": "application/vnd.amazon.eventstream"}
        return await send_events(request, converse_events(reply), headers)

    async def _embeddings(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        inputs = body["input"] if isinstance(body["input"], list) else [body["input"]]
        vectors: list[Any] = [self.vector(str(text)) for text in inputs]
        if body.get("encoding_format") == "base64":
            vectors = [base64.b64encode(struct.pack(f"<{len(v)}f", *v)).decode() for v in vectors]
        tokens = self._billed()
        data = [{"object": "embedding", "index": i, "embedding": vector} for i, vector in enumerate(vectors)]
        usage = {"prompt_tokens": tokens.input, "total_tokens": tokens.input}
        return web.json_response({"object": "list", "model": body["model"], "data": data, "usage": usage})


async def send_events(request: web.Request, events: list[bytes], headers: dict[str, str]) -> web.StreamResponse:
    """A complete event stream."""
    response = web.StreamResponse(headers={"content-type": "text/event-stream", **headers})
    await response.prepare(request)
    for event in events:
        await response.write(event)
    await response.write_eof()
    return response


def paused_stream(events: list[bytes], after: int, go_on: asyncio.Event, cut: int = 0) -> Fault:
    """A fault: some events and ``cut`` bytes of the next one, then silence until ``go_on``, then the rest."""

    async def fault(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        whole = b"".join(events)
        at = len(b"".join(events[:after])) + cut
        await response.write(whole[:at])
        await go_on.wait()
        await response.write(whole[at:])
        await response.write_eof()
        return response

    return fault


def answer(status: int, body: bytes, content_type: str = "application/json", **headers: str) -> Fault:
    """A fault: this answer instead."""

    async def fault(request: web.Request) -> web.StreamResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=status, body=body, content_type=content_type, headers=named)

    return fault


def cut_stream(events: list[bytes]) -> Fault:
    """A fault: these events, then the connection is dropped."""

    async def fault(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for event in events:
            await response.write(event)
        if request.transport is not None:
            request.transport.abort()
        return response

    return fault


async def reset(request: web.Request) -> web.StreamResponse:
    """A fault: the connection is dropped before an answer."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def hang(request: web.Request) -> web.StreamResponse:
    """A fault: no answer, ever."""
    await asyncio.Event().wait()
    return web.Response()
