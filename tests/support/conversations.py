"""What is asked of a model and what it answers, in no vendor's words: what drives the SDKs on one side of the gate and
the strict vendors on the other, and what both are compared by. None of it is the product's own canonical form."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

Stop = Literal["end", "calls", "length", "stop_sequence", "refusal"]
Kind = Literal["image", "document"]

PNG = base64.b64encode(
    bytes.fromhex(
        "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360606060000000050001"
        "a5f645400000000049454e44ae426082"
    )
).decode()
PDF = base64.b64encode(b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n").decode()

SCHEMAS: dict[str, dict[str, Any]] = {
    "look_up": {
        "type": "object",
        "properties": {"city": {"type": "string", "description": "Zürich, say"}, "days": {"type": "integer"}},
        "required": ["city"],
    },
    "add": {"type": "object", "properties": {"a": {"type": "number"}, "b": {"type": "number"}}, "required": ["a", "b"]},
}
"""The tools that a client offers."""
SHAPE: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
"""The form in which a client wants an answer."""


@dataclass(frozen=True)
class Tokens:
    """What one answer costs, in disjoint counts; ``reasoning`` is a share of ``output``."""

    input: int = 100
    cached: int = 0
    output: int = 12
    reasoning: int = 0


@dataclass(frozen=True)
class Call:
    name: str
    arguments: dict[str, Any]
    id: str = ""


@dataclass(frozen=True)
class Thought:
    text: str
    seal: str


@dataclass(frozen=True)
class Answer:
    """What a vendor's model says. ``stop`` without a word: ``calls`` if there are any, else ``end``. ``id``: what tells
    it apart from other answers, where the dialect has a place for that."""

    text: str = ""
    thought: Thought | None = None
    calls: tuple[Call, ...] = ()
    stop: Stop | None = None
    stop_sequence: str = ""
    tokens: Tokens = field(default_factory=Tokens)
    id: str = "1"

    @property
    def ended(self) -> Stop:
        return self.stop or ("calls" if self.calls else "end")


@dataclass(frozen=True)
class Failure:
    """What a vendor answers instead, in its own envelope. ``context``: the prompt is too long."""

    status: int
    message: str
    context: bool = False


@dataclass(frozen=True)
class Media:
    kind: Kind
    data: str


@dataclass(frozen=True)
class Result:
    """Of the call with this name."""

    name: str
    text: str
    image: str = ""
    failed: bool = False


@dataclass(frozen=True)
class User:
    text: str
    media: tuple[Media, ...] = ()


@dataclass
class Said:
    """What a client got: as its SDK tells it, and what it hands back in the next turn (``back``)."""

    text: str = ""
    thought: str = ""
    seals: list[str] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    stop: str | None = None
    usage: Tokens | None = None
    dropped: str = ""
    """The answer's header ``x-tollkeeper-dropped``."""
    back: Any = None


@dataclass(frozen=True)
class Results:
    """What the tools said, in the order of this tuple."""

    of: tuple[Result, ...]


Turn: TypeAlias = User | Said | Results


@dataclass(frozen=True)
class Ask:
    """One request. ``mark``: the system prompt bears a cache mark."""

    turns: tuple[Turn, ...]
    system: str = ""
    tools: tuple[str, ...] = ()
    forced: str = ""
    shaped: bool = False
    thinking: bool = False
    stop: tuple[str, ...] = ()
    mark: bool = False
    top_k: int | None = None
    seed: int | None = None
    logprobs: bool = False


class CannotSay(Exception):
    """The client's dialect has no word for it."""


class Refused(Exception):
    """What the client's SDK raises for an error: the status, and what it tells of it."""

    def __init__(self, status: int, message: str, code: str) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status, self.message, self.code = status, message, code


@dataclass
class Heard:
    """What a vendor was told, read from its own dialect.

    ``said`` is the conversation as a flat list: ``("user", text)``, ``("assistant", text)``, ``("thought", text,
    seal)``, ``("call", name, arguments)``, ``("result", name, text, failed)``, ``("image", base64)``, ``("document",
    base64)``.
    """

    system: str = ""
    said: list[tuple[Any, ...]] = field(default_factory=list)
    tools: dict[str, Any] = field(default_factory=dict)
    forced: str = ""
    shape: Any = None
    thinking: bool = False
    stop: list[str] = field(default_factory=list)
    marks: int = 0
    settings: dict[str, Any] = field(default_factory=dict)
