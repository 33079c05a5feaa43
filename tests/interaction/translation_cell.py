"""One cell of the matrix of translation: a client of one dialect before a vendor of one dialect; and the list of the
features that are proved in each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from tests.peers.strict_llm import StrictLLM, Told
from tests.support.conversations import Answer, Ask, Failure, Said, User
from tests.support.gateway import RunningGateway
from tests.support.surfaces.base import Client

HELLO = Answer("Grüezi, wie geht's? 👋")
STOPS = {
    "chat": {"end": "stop", "calls": "tool_calls", "length": "length", "sequence": "stop", "refusal": "content_filter"},
    "responses": {
        "end": "completed",
        "calls": "completed",
        "length": "max_output_tokens",
        "refusal": "content_filter",
    },
    "messages": {
        "end": "end_turn",
        "calls": "tool_use",
        "length": "max_tokens",
        "sequence": "stop_sequence ENOUGH",
        "refusal": "refusal",
    },
    "gemini": {"end": "STOP", "calls": "STOP", "length": "MAX_TOKENS", "sequence": "STOP", "refusal": "SAFETY"},
}
"""How each SDK tells why a model stopped."""


BASE_LOSSES = {"responses": {"store", "include", "reasoning.summary"}}
"""What the SDKs' ordinary fields lose at every other vendor: bookkeeping."""


@dataclass
class Cell:
    """A client of one dialect before a vendor of one dialect."""

    client: Client
    target: str
    model: str
    thinker: str
    """The model that shows its thoughts."""
    elsewhere: str
    """A model of another vendor that shows them, too."""
    llm: StrictLLM
    gate: RunningGateway
    lost: set[str] = field(default_factory=set)
    """What the answers' headers said was left out."""

    @property
    def surface(self) -> str:
        return self.client.surface

    @property
    def own(self) -> bool:
        """The vendor speaks the client's dialect: bodies pass as they are."""
        return (self.surface, self.target) in OWN

    @property
    def told(self) -> Told:
        """The newest request that the vendor took."""
        return self.llm.told[-1]

    async def ask(self, ask: Ask, answer: Answer | Failure, *, stream: bool = False, model: str = "") -> Said:
        self.llm.will(answer)
        try:
            said = await self.client.ask(model or self.model, ask, stream=stream)
        finally:
            assert self.llm.problems == []
        named = {name.strip() for name in said.dropped.split(",") if name.strip()}
        self.lost |= named - BASE_LOSSES.get(self.surface, set())
        return said


OWN = {("chat", "openai"), ("responses", "openai responses"), ("messages", "anthropic"), ("gemini", "gemini")}
Feature = Callable[[Cell], Awaitable[None]]


def into(features: dict[str, Feature]) -> Callable[[str], Callable[[Feature], Feature]]:
    """A decorator that enters a feature's function under its name."""

    def named(name: str) -> Callable[[Feature], Feature]:
        def add(function: Feature) -> Feature:
            features[name] = function
            return function

        return add

    return named


def hi(**fields: Any) -> Ask:
    return Ask((User("hi"),), **fields)
