"""Two MCP clients on the bare wire, one per era, with the same face: what a test does in one cell of the era table
it does in the others."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import httpx

from tests.support.gateway import META, MODERN

Json = dict[str, Any]
Answerer = Callable[[str, Json], Json]
ALL: Json = {"elicitation": {"form": {}, "url": {}}, "sampling": {}, "roots": {}}
ACCEPT = "application/json, text/event-stream"


@dataclass
class Told:
    """What a call brought: its final message, and what came before."""

    answer: Json
    before: list[Json] = field(default_factory=list)
    asked: list[Json] = field(default_factory=list)

    @property
    def result(self) -> Json:
        assert "result" in self.answer, self.answer
        found: Json = self.answer["result"]
        return found

    @property
    def text(self) -> str:
        content = self.result.get("content") or [self.result["messages"][0]["content"]]
        said: str = content[0]["text"]
        return said

    @property
    def error(self) -> Json:
        found: Json = self.answer["error"]
        return found


class McpClient(Protocol):
    """A client of either era. ``answer`` is asked like a person: (method, params) -> result."""

    async def request(self, method: str, params: Json, answer: Answerer | None = None) -> Told: ...
    def notices(self, uris: list[str]) -> Any: ...
    async def cancel_in_flight(self, method: str, params: Json, started: Callable[[], Any]) -> None: ...


def events_of(text: str) -> list[Json]:
    return [json.loads(line[5:]) for line in text.splitlines() if line.startswith("data:")]


class ModernClient:
    """2026-07-28: every request alone, asked by being told to come again."""

    def __init__(self, http: httpx.AsyncClient, key: str, path: str, capabilities: Json) -> None:
        self.http, self.key, self.path, self.capabilities = http, key, path, capabilities
        self.log_level: str | None = None
        self._next = 0

    def parts(self, method: str, params: Json) -> tuple[Json, dict[str, str]]:
        self._next += 1
        meta = {**META, "io.modelcontextprotocol/clientCapabilities": self.capabilities, **params.get("_meta", {})}
        if self.log_level is not None:
            meta["io.modelcontextprotocol/logLevel"] = self.log_level
        body = {"jsonrpc": "2.0", "id": self._next, "method": method, "params": {**params, "_meta": meta}}
        name = params.get("uri" if method == "resources/read" else "name")
        headers = {
            "authorization": f"Bearer {self.key}",
            "content-type": "application/json",
            "accept": ACCEPT,
            "mcp-protocol-version": MODERN,
            "mcp-method": method,
            **({"mcp-name": name} if isinstance(name, str) else {}),
        }
        return body, headers

    @property
    def last_id(self) -> int:
        return self._next

    async def once(self, method: str, params: Json) -> tuple[list[Json], int]:
        body, headers = self.parts(method, params)
        answer = await self.http.post(self.path, json=body, headers=headers)
        if answer.headers["content-type"].startswith("text/event-stream"):
            return events_of(answer.text), answer.status_code
        return [answer.json()], answer.status_code

    async def request(self, method: str, params: Json, answer: Answerer | None = None) -> Told:
        before: list[Json] = []
        asked: list[Json] = []
        sent = params
        while True:
            *earlier, last = (await self.once(method, sent))[0]
            before += earlier
            result = last.get("result", {})
            if result.get("resultType") != "input_required" or answer is None:
                return Told(last, before, asked)
            questions = result.get("inputRequests", {})
            asked += questions.values()
            answers = {name: answer(q["method"], q["params"]) for name, q in questions.items()}
            sent = {**params, "inputResponses": answers, "requestState": result["requestState"]}

    @asynccontextmanager
    async def notices(self, uris: list[str]) -> AsyncIterator[asyncio.Queue[Json]]:
        heard: asyncio.Queue[Json] = asyncio.Queue()
        wanted = {"toolsListChanged": True, "promptsListChanged": True, "resourceSubscriptions": uris}
        body, headers = self.parts("subscriptions/listen", {"notifications": wanted})
        async with self.http.stream("POST", self.path, json=body, headers=headers) as stream:
            lines = stream.aiter_lines()
            async for line in lines:
                if line.startswith("data:"):
                    acknowledged = json.loads(line[5:])
                    assert acknowledged["params"]["notifications"].get("resourceSubscriptions", []) == uris
                    break
            task = asyncio.create_task(_hear(lines, heard))
            yield heard
            task.cancel()

    async def cancel_in_flight(self, method: str, params: Json, started: Callable[[], Any]) -> None:
        """Leaving is cancelling."""
        task = asyncio.create_task(self.once(method, params))
        await started()
        task.cancel()


class LegacyClient:
    """2025-11-25: a session, asked on the stream of the call."""

    def __init__(self, http: httpx.AsyncClient, key: str, path: str, capabilities: Json) -> None:
        self.http, self.key, self.path, self.capabilities = http, key, path, capabilities
        self.session = ""
        self._next = 0

    @property
    def headers(self) -> dict[str, str]:
        return {
            "authorization": f"Bearer {self.key}",
            "content-type": "application/json",
            "accept": ACCEPT,
            **({"mcp-session-id": self.session, "mcp-protocol-version": "2025-11-25"} if self.session else {}),
        }

    @property
    def last_id(self) -> int:
        return self._next

    async def begin(self) -> LegacyClient:
        info = {"name": "test", "version": "1"}
        params = {"protocolVersion": "2025-11-25", "capabilities": self.capabilities, "clientInfo": info}
        body = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}
        answer = await self.http.post(self.path, json=body, headers=self.headers)
        self.session = answer.headers["mcp-session-id"]
        await self.say({"method": "notifications/initialized"})
        return self

    async def say(self, message: Json) -> None:
        """A notification, or the answer to a question."""
        answer = await self.http.post(self.path, json={"jsonrpc": "2.0", **message}, headers=self.headers)
        assert answer.status_code == 202

    async def request(self, method: str, params: Json, answer: Answerer | None = None) -> Told:
        self._next += 1
        body = {"jsonrpc": "2.0", "id": self._next, "method": method, "params": params}
        before: list[Json] = []
        asked: list[Json] = []
        async with self.http.stream("POST", self.path, json=body, headers=self.headers) as stream:
            if not stream.headers["content-type"].startswith("text/event-stream"):
                return Told(json.loads(await stream.aread()))
            async for line in stream.aiter_lines():
                if not line.startswith("data:"):
                    continue
                message = json.loads(line[5:])
                if "method" not in message:
                    return Told(message, before, asked)
                before.append(message)
                if "id" in message and answer is not None:
                    asked.append(message)
                    result = answer(message["method"], message.get("params", {}))
                    await self.say({"id": message["id"], "result": result})
        raise AssertionError("the stream ended without an answer")

    @asynccontextmanager
    async def notices(self, uris: list[str]) -> AsyncIterator[asyncio.Queue[Json]]:
        heard: asyncio.Queue[Json] = asyncio.Queue()
        async with self.http.stream("GET", self.path, headers=self.headers) as stream:
            lines = stream.aiter_lines()
            assert stream.status_code == 200
            task = asyncio.create_task(_hear(lines, heard))
            for uri in uris:
                assert (await self.request("resources/subscribe", {"uri": uri})).result == {}
            yield heard
            task.cancel()

    async def cancel_in_flight(self, method: str, params: Json, started: Callable[[], Any]) -> None:
        """Saying so is cancelling; leaving is not."""
        task = asyncio.create_task(self.request(method, params))
        await started()
        await self.say({"method": "notifications/cancelled", "params": {"requestId": self._next}})
        task.cancel()


async def _hear(lines: AsyncIterator[str], heard: asyncio.Queue[Json]) -> None:
    async for line in lines:
        if line.startswith("data:"):
            heard.put_nowait(json.loads(line[5:]))


async def connect(
    era: str, http: httpx.AsyncClient, key: str, path: str = "/mcp", capabilities: Json | None = None
) -> ModernClient | LegacyClient:
    """A client of ``era`` that can do everything, unless ``capabilities`` says otherwise."""
    declared = ALL if capabilities is None else capabilities
    if era == "modern":
        return ModernClient(http, key, path, declared)
    return await LegacyClient(http, key, path, declared).begin()
