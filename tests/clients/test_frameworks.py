"""Agent frameworks complete tasks on models of vendors whose dialect they do not speak.

What arrives is held against the vendors' own types, and every result must stand next to its call
(``tests/peers/vendors``); what a framework counts is held against the ledger.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.clients.frameworks_client import FrameworkClient
from tests.peers.strict_llm import StrictLLM
from tests.support.conversations import Answer, Call, Heard, Tokens
from tests.support.gateway import RunningGateway

pytestmark = [pytest.mark.anyio, pytest.mark.client_programs]

KEY = "vk-frameworks-0123456789abcdef0123"
MODELS = {"anthropic": "claude-sonnet-4-5", "gemini": "gemini-3-pro-preview", "chat": "gpt-4.1"}
"""By the dialect of the vendor that has it."""
SURFACES = {
    "langchain": ("chat", "responses", "anthropic", "gemini"),
    "pydantic_ai": ("chat", "responses", "anthropic", "gemini"),
    "openai_agents": ("chat", "responses"),
    "litellm": ("chat", "responses", "anthropic", "gemini"),
}
PAIRS = [
    (framework, surface, vendor)
    for framework, surfaces in SURFACES.items()
    for surface in surfaces
    for vendor in MODELS
    if vendor not in (surface, "chat" if surface == "responses" else "")
]
"""Every surface that a framework speaks, and every vendor whose dialect is another one."""
FORCES_TOOLS = ("langchain", "pydantic_ai")
"""These can have a form filled by a tool that the model must call."""
FORM_BY_TOOL = ("litellm", "anthropic")
"""LiteLLM asks a model on Anthropic's surface that it does not know for a form by a tool of its own."""

SYSTEM = "Be brief."
PROMPT = "How warm is it in Bern, Basel and Chur?"
STAY = {"city": "Chur", "days": 2}
TEXT = "It is 20 degrees in each of them: in Bern, in Basel and in Chur."


@pytest.fixture(scope="module")
async def strict() -> AsyncIterator[StrictLLM]:
    async with StrictLLM() as peer:
        yield peer


@pytest.fixture(scope="module")
async def shared_gate(strict: StrictLLM, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningGateway]:
    yaml = f"""
    providers:
      - {{name: openai, api_key: k, base_url: "{strict.base}/v1", allowed_models: ["gpt-*"]}}
      - {{name: anthropic, api_key: k, base_url: "{strict.base}", allowed_models: ["claude-*"]}}
      - {{name: gemini, api_key: k, base_url: "{strict.base}", allowed_models: ["gemini-*"]}}
    virtual_keys:
      - {{key_name: frameworks, key: {KEY}, allowed_models: ["*"]}}
    """
    async with RunningGateway(yaml, tmp_path_factory.mktemp("gate")) as running:
        yield running


@pytest.fixture(scope="module")
async def clients(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[dict[str, FrameworkClient]]:
    home: Path = tmp_path_factory.mktemp("frameworks")
    async with AsyncExitStack() as stack:
        yield {name: await stack.enter_async_context(FrameworkClient(name, home)) for name in SURFACES}


@dataclass
class Scene:
    """One task: a framework, the gate, and a vendor that answers what is planned."""

    clients: dict[str, FrameworkClient]
    gate: RunningGateway
    strict: StrictLLM

    async def play(self, framework: str, surface: str, model: str, task: str, *answers: Answer) -> dict[str, Any]:
        self.strict.will(*answers)
        ask = {"task": task, "surface": surface, "model": model, "address": self.gate.address, "key": KEY}
        told = await self.clients[framework].do(**ask)
        assert told["elsewhere"] == []
        return told

    async def heard(self, told: dict[str, Any], vendor: str) -> Heard:
        """What the vendor was told last; it refused nothing, and the books agree with the framework call by call."""
        assert self.strict.problems == []
        assert self.strict.plan == []
        assert {one.vendor for one in self.strict.told} == {vendor}
        rows = await self.gate.rows()
        assert [row["outcome"] for row in rows] == ["ok"] * len(self.strict.told)
        assert told["usage"] == [
            [row["input_tokens"] + row["cache_read_tokens"], row["cache_read_tokens"], row["output_tokens"]]
            for row in rows
        ]
        return self.strict.told[-1].heard


@pytest.fixture
def scene(clients: dict[str, FrameworkClient], shared_gate: RunningGateway, strict: StrictLLM) -> Scene:
    shared_gate.mark()
    return Scene(clients, shared_gate, strict)


def looked_up(*cities: str) -> tuple[Call, ...]:
    return tuple(Call("look_up", {"city": city}, id=f"call_{city}") for city in cities)


def exchanged(heard: Heard) -> list[tuple[Any, ...]]:
    """The conversation without seals, and results without what a framework puts around them."""
    found = [said[:3] for said in heard.said if said[0] != "thought"]
    return [(*said[:2], *re.findall(r"20 degrees in \w+", said[2])) if said[0] == "result" else said for said in found]


@pytest.mark.parametrize("task", ["tools", "streamed"])
@pytest.mark.parametrize(("framework", "surface", "vendor"), PAIRS)
async def test_an_agent_calls_tools_one_at_a_time_and_two_at_once(
    scene: Scene, framework: str, surface: str, vendor: str, task: str
) -> None:
    told = await scene.play(
        *(framework, surface, MODELS[vendor], task),
        Answer("I shall look.", calls=looked_up("Bern"), tokens=Tokens(100, 0, 12), id="first"),
        Answer(calls=looked_up("Basel", "Chur"), tokens=Tokens(40, 90, 15), id="second"),
        Answer(TEXT, tokens=Tokens(30, 130, 21), id="third"),
    )
    assert told["text"] == TEXT
    assert sorted(told["ran"]) == ["Basel", "Bern", "Chur"]
    assert (told["pieces"] > 1) is (task == "streamed")
    heard = await scene.heard(told, vendor)
    assert heard.system == SYSTEM
    assert exchanged(heard) == [
        ("user", PROMPT),
        ("assistant", "I shall look."),
        ("call", "look_up", {"city": "Bern"}),
        ("result", "look_up", "20 degrees in Bern"),
        ("call", "look_up", {"city": "Basel"}),
        ("call", "look_up", {"city": "Chur"}),
        ("result", "look_up", "20 degrees in Basel"),
        ("result", "look_up", "20 degrees in Chur"),
    ]


@pytest.mark.parametrize(("framework", "surface", "vendor"), PAIRS)
async def test_an_answer_has_the_form_that_was_asked_for(
    scene: Scene, framework: str, surface: str, vendor: str
) -> None:
    by_tool = (framework, surface) == FORM_BY_TOOL
    said = {"calls": (Call("json_tool_call", STAY),)} if by_tool else {"text": json.dumps(STAY)}
    answer = Answer(**said, tokens=Tokens(20, 10, 8))
    told = await scene.play(framework, surface, MODELS[vendor], "structured", answer)
    assert json.loads(told["text"]) == STAY
    heard = await scene.heard(told, vendor)
    form = heard.tools["json_tool_call"] if by_tool else heard.shape
    assert form["properties"].keys() == STAY.keys()


@pytest.mark.parametrize(("framework", "surface", "vendor"), [pair for pair in PAIRS if pair[0] in FORCES_TOOLS])
async def test_a_form_is_filled_by_a_tool_that_must_be_called(
    scene: Scene, framework: str, surface: str, vendor: str
) -> None:
    """LangChain then forbids parallel calls on OpenAI's surfaces, which Gemini cannot be told, and need not."""
    answer = Answer(calls=(Call("Stay", STAY),), tokens=Tokens(20, 10, 8))
    told = await scene.play(framework, surface, MODELS[vendor], "by_tool", answer)
    assert json.loads(told["text"]) == STAY
    assert (await scene.heard(told, vendor)).tools["Stay"]["properties"].keys() == STAY.keys()
