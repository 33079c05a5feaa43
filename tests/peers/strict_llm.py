"""Five vendors on loopback that refuse what their published schemas do not allow, and answer what a test plans."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from tests.peers.vendors import anthropic, chat, converse, gemini, responses
from tests.support.conversations import Answer, Failure, Heard


@dataclass(frozen=True)
class Told:
    """One request that a vendor took."""

    vendor: str
    model: str
    heard: Heard
    body: dict[str, Any]


@dataclass
class StrictLLM:
    """Start with ``async with``; ``base`` is the address without ``/v1``. ``plan``: what is answered, in order."""

    plan: list[Answer | Failure] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """Why requests were refused: a test that leaves one has failed."""
    base: str = ""

    def will(self, *answers: Answer | Failure) -> None:
        """Forget what was; plan this."""
        self.plan, self.told, self.problems = list(answers), [], []

    async def __aenter__(self) -> StrictLLM:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/v1/chat/completions", self._handler(chat))
        app.router.add_post("/v1/responses", self._handler(responses))
        app.router.add_post("/v1/messages", self._handler(anthropic))
        app.router.add_post("/{version:v1|v1beta}/models/{model:[^:]+}:{verb}", self._handler(gemini))
        app.router.add_post("/model/{model}/{verb}", self._handler(converse))
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.base = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    def _handler(self, vendor: Any) -> Any:
        async def handle(request: web.Request) -> web.StreamResponse:
            body = json.loads(await request.read())
            verb = request.match_info.get("verb", "")
            stream = body.get("stream") is True or "tream" in verb
            model = body.get("model") or unquote(request.match_info["model"])
            if found := vendor.problems(body):
                self.problems += [f"{vendor.name}: {problem}" for problem in found]
                return _failed(vendor, Failure(400, "; ".join(found)))
            self.told.append(Told(vendor.name, model, vendor.heard(body), body))
            answer = self.plan.pop(0)
            if isinstance(answer, Failure):
                return _failed(vendor, answer)
            if not stream:
                return web.json_response(vendor.whole(answer, model))
            return await _streamed(request, vendor, vendor.events(answer, model, body))

        return handle


def _failed(vendor: ModuleType, failure: Failure) -> web.Response:
    return web.json_response(vendor.error(failure), status=failure.status)


async def _streamed(request: web.Request, vendor: ModuleType, events: Sequence[bytes]) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-type": vendor.stream_type})
    await response.prepare(request)
    for event in events:
        await response.write(event)
    await response.write_eof()
    return response
