"""The words of the cache: what is asked of it, what it keeps, what it says of a call.

Executors describe a call as an ``Answerable`` (everything that can change its answer), callers add a ``Wish``,
and the operator's ``CachePolicy`` makes of both a ``Query`` or a ``Bypass``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

import msgspec

from policies.types import Call, CallKind, ModelCall

Form = Literal["body", "stream", "result"]
"""How an answer is kept: a complete body, the bytes of an event stream, or the result of a tool."""
Layer = Literal["exact", "semantic"]

BypassReason = Literal[
    "off",  # the operator has no cache for this kind of call
    "key_off",  # nor for this key
    "model_off",  # nor for this model
    "tool_not_listed",  # no pattern of tool_cache names the tool
    "tool_not_read_only",  # its server says that it changes something
    "no_cache_key",  # participation: header, and the request names no cache key
    "no_store",  # the caller's Cache-Control
    "stateful",  # the answer depends on what the upstream keeps, not on the request alone
    "ambiguous",  # parsers could read the request differently
    "unsupported",  # this operation's answers are not kept
]


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller says about the caching of one request."""

    cache_key: str | None = None
    """Narrows the partition; makes the request take part where participation is by header."""
    ttl_s: int | None = None
    threshold: float | None = None
    layer: Layer | None = None
    """Only this layer is looked up; ``None``: both."""
    read: bool = True
    store: bool = True
    tags: tuple[str, ...] = ()


NO_WISH = Wish()


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """A request as the semantic layer reads it."""

    text: str
    """What users and assistants said, a line each."""
    system: str
    """The system prompt."""
    messages: int
    """Without those of the system."""
    rest: bytes
    """Canonical bytes of everything that is in neither: must be equal."""


class Asked(msgspec.Struct, frozen=True):
    """What is called."""

    kind: CallKind
    subject: str
    """The logical model, or ``server/name`` of a tool or resource."""


def asked_of(call: Call) -> Asked:
    """What ``call`` calls."""
    return Asked(call.kind, call.model if isinstance(call, ModelCall) else f"{call.server}/{call.name}")


def _no_conversation() -> Conversation | None:
    return None


class Answerable(msgspec.Struct, frozen=True, kw_only=True):
    """Everything of one call, beside what is called, that can change its answer, and nothing else."""

    fields: Mapping[str, bytes]
    """Canonical bytes by name; which names there are counts too."""
    form: str = ""
    """How the answer is wanted: it counts for sharing a flight, not for a kept answer."""
    alone: bool = False
    """Its answer may ask for tools, under ids that must be one caller's only: it shares no flight."""
    conversation: Callable[[], Conversation | None] = _no_conversation
    """The request as the semantic layer reads it, read when that is asked."""


class Bypass(msgspec.Struct, frozen=True):
    """Why a call passes by the cache."""

    reason: BypassReason

    def __str__(self) -> str:
        return f"bypass; reason={self.reason}"


class SemanticQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What the semantic layer looks for."""

    bucket: bytes
    """Digest of what must be equal: partition, model, parameters, facts."""
    text: str
    threshold: float


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """A call that takes part."""

    id: bytes
    """SHA-256 of partition and answerable: equal means the same answer for the same principal."""
    flight: bytes | None
    """``id`` and the form that is wanted: equal calls in flight share one. ``None``: this one flies
    alone."""
    kind: CallKind
    subject: str
    partition: str
    """Who shares: ``key:acme``, ``team:research``, with ``#`` and the cache key if there is one."""
    key: str
    """The virtual key's name."""
    cache_key: str | None = None
    tags: tuple[str, ...] = ()
    fields: Mapping[str, bytes] = {}
    """Canonical bytes of each field, for explanations."""
    ttl_s: int | None = None
    """``None``: what the answer's own hint says, and without one not at all."""
    read: bool = True
    """The exact layer may answer."""
    store: bool = True
    tool_answers: bool = False
    """Answers that call tools may be kept."""
    semantic: SemanticQuery | None = None
    asked_ns: int = 0


Plan: TypeAlias = Query | Bypass
OFF = Bypass("off")


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that ended well and may be given again."""

    form: Form
    data: bytes
    ids: tuple[str, ...] = ()
    """Ids in ``data`` that every giving of it mints anew."""
    places: tuple[tuple[int, int, int], ...] = ()
    """Where they stand: start, end, which."""
    tool_use_ids: tuple[str, ...] = ()
    """Those of ``ids`` that ask for a tool."""
    calls_tools: bool = False
    ttl_s: float | None = None
    """The answer's own hint; it shortens, never lengthens."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A kept answer."""

    id: bytes
    kind: CallKind
    subject: str
    partition: str
    key: str
    cache_key: str | None = None
    tags: tuple[str, ...] = ()
    fields: Mapping[str, str] = {}
    """Short digest of each field, for explanations."""
    created_ns: int
    expires_ns: int
    provider: str | None = None
    cost_nano: int = 0
    """What the answer cost, and a hit saves."""
    form: Form
    ids: tuple[str, ...] = ()
    places: tuple[tuple[int, int, int], ...] = ()
    tool_use_ids: tuple[str, ...] = ()
    data: bytes = b""

    def kept(self, now_ns: int) -> Kept:
        """The answer itself, with the seconds that it still holds."""
        return Kept(
            form=self.form,
            data=self.data,
            ids=self.ids,
            places=self.places,
            tool_use_ids=self.tool_use_ids,
            ttl_s=(self.expires_ns - now_ns) / 1e9,
        )

    @property
    def size(self) -> int:
        """Bytes that it is counted with."""
        return len(self.data) + ENTRY_BYTES


ENTRY_BYTES = 600
"""What an entry takes beside its data, measured roughly."""


class Found(msgspec.Struct, frozen=True):
    """An entry that answers a query, and how it was found. ``similarity``: cosine, 1.0 for an exact hit."""

    entry: Entry
    layer: Layer
    similarity: float = 1.0


class Replayed(msgspec.Struct, frozen=True):
    """A kept answer in the form that a caller asked for, with ids of its own."""

    reply: object
    tool_use_ids: tuple[str, ...] = ()


class Selector(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries are meant: those that match every given field."""

    id: str | None = None
    """Hexadecimal."""
    key: str | None = None
    cache_key: str | None = None
    model: str | None = None
    tool: str | None = None
    """``server/name`` of a tool or resource."""
    server: str | None = None
    tag: str | None = None
    partition: str | None = None

    def matches(self, entry: Entry) -> bool:
        return (
            (self.id is None or entry.id.hex() == self.id)
            and (self.key is None or entry.key == self.key)
            and (self.cache_key is None or entry.cache_key == self.cache_key)
            and (self.model is None or (entry.kind == "model" and entry.subject == self.model))
            and (self.tool is None or (entry.kind != "model" and entry.subject == self.tool))
            and (self.server is None or (entry.kind != "model" and entry.subject.startswith(f"{self.server}/")))
            and (self.tag is None or self.tag in entry.tags)
            and (self.partition is None or entry.partition == self.partition)
        )
