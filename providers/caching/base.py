"""What the cache must know of a dialect: what in a request can change the answer, and the two forms of an answer.

Same dialect in and out. A kept answer is the upstream's own bytes, in the form in which it came; the other form
is made when it is asked for. Ids of a kept answer are minted anew each time it is given, because programs take
them for unique (the gate itself joins tool calls to model calls by them).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from policies.caching.canonical import canonical, read_strictly
from policies.caching.vocabulary import Answerable, Bypass, Conversation, Kept
from policies.ids import new_id
from policies.strict_json import StrictObject
from providers.dialects.base import ModelRequest
from providers.dialects.sse import EventCutter, data_of

Answer = dict[str, Any]
"""A complete answer, decoded."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether an answer ended well, and what it asks for."""

    good: bool
    ids: tuple[str, ...] = ()
    tool_use_ids: tuple[str, ...] = ()
    calls_tools: bool = False


BAD = Judgement(good=False)
BAD_SHAPE = (msgspec.MsgspecError, TypeError, KeyError, AttributeError, IndexError, ValueError)
"""What reading an answer raises that has not the documented shape: such a one is passed on, and not kept."""


class DialectCaching(Protocol):
    """One dialect's one operation."""

    def answerable(self, request: ModelRequest) -> Answerable | Bypass:
        """What of the body can change the answer."""

    def judge(self, answer: Answer) -> Judgement: ...

    def assemble(self, events: Iterable[bytes]) -> Answer | None:
        """The complete answer that a whole stream tells; ``None`` for a stream that cannot be told so."""

    def explode(self, answer: Answer) -> bytes | None:
        """The stream that tells a complete answer; ``None`` if it cannot be told so."""


class Fields:
    """The fields of a body that count: canonical bytes by name, and their values. Raises ``NotCanonical``."""

    __slots__ = ("_values", "canonical")

    def __init__(self, body: StrictObject, left_out: frozenset[str]) -> None:
        self.canonical: dict[str, bytes] = {}
        self._values: dict[str, Any] = {}
        for name, raw in body.items():
            if name in left_out:
                continue
            data = bytes(raw)
            if data[0] in _NESTED or data.find(b"\\") >= 0:
                self.put(name, read_strictly(data))
            else:
                self.canonical[name] = data  # a plain scalar is spelled in one way only

    def put(self, name: str, value: Any) -> None:
        self._values[name] = value
        self.canonical[name] = canonical(value)

    def value(self, name: str) -> Any:
        """The decoded value; ``None`` if there is none."""
        if name not in self._values and name in self.canonical:
            self._values[name] = msgspec.json.decode(self.canonical[name])
        return self._values.get(name)

    def others(self, *names: str) -> bytes:
        """Canonical bytes of all fields but these."""
        rest = (name for name in sorted(self.canonical) if name not in names)
        return b"".join(name.encode() + b"\0" + self.canonical[name] + b"\0" for name in rest)


def keep(caching: DialectCaching, form: str, data: bytes) -> Kept | None:
    """``data`` as an answer to be kept; ``None`` for one that must not be given again."""
    try:
        answer = msgspec.json.decode(data) if form == "body" else caching.assemble(events_of(data))
        judged = caching.judge(answer) if isinstance(answer, dict) else BAD
    except BAD_SHAPE:
        return None
    if not judged.good:
        return None
    ids = tuple(dict.fromkeys((*judged.ids, *judged.tool_use_ids)))
    return Kept(
        form="body" if form == "body" else "stream",
        data=data,
        ids=ids,
        places=_places(data, ids),
        tool_use_ids=judged.tool_use_ids,
        calls_tools=judged.calls_tools,
    )


def mint(kept: Kept) -> tuple[bytes, tuple[str, ...]]:
    """The answer's bytes with new ids, and the new ones of its tool uses."""
    fresh = [_fresh(old) for old in kept.ids]
    parts: list[bytes] = []
    at = 0
    for start, end, which in kept.places:
        parts += (kept.data[at:start], fresh[which].encode())
        at = end
    parts.append(kept.data[at:])
    if not kept.tool_use_ids:
        return b"".join(parts), ()
    named = dict(zip(kept.ids, fresh, strict=True))
    return b"".join(parts), tuple(named[old] for old in kept.tool_use_ids)


def events_of(stream: bytes) -> list[bytes]:
    """The whole events of a stream."""
    cutter = EventCutter()
    events = cutter.feed(stream)
    return [*events, cutter.pending] if cutter.pending.strip() else events


def decoded(event: bytes) -> Answer | None:
    """An event's data as an object; ``None`` for a comment, ``[DONE]`` and what is not JSON."""
    data = data_of(event)
    if data[:1] != b"{":
        return None
    found = msgspec.json.decode(data)
    return found if isinstance(found, dict) else None


def event(data: Any, name: str | None = None) -> bytes:
    """One server-sent event."""
    head = b"" if name is None else b"event: " + name.encode() + b"\n"
    return head + b"data: " + msgspec.json.encode(data) + b"\n\n"


def with_plain_links(value: Any, names: frozenset[str]) -> Any:
    """``value`` with the ids that link tool calls to their results replaced by their order of appearance. They are
    new in every conversation (the gate itself mints them), and which result answers which call stays.

    ``names``: the keys that hold them, in objects of a kind that the caller has chosen."""
    order: dict[str, str] = {}

    def renamed(item: Any) -> Any:
        if isinstance(item, list):
            return [renamed(part) for part in item]
        if not isinstance(item, dict):
            return item
        return {
            name: order.setdefault(part, f"#{len(order)}")
            if name in names and isinstance(part, str) and part
            else renamed(part)
            if name in _HOLDERS
            else part
            for name, part in item.items()
        }

    return renamed(value)


def spoken(turns: Iterable[tuple[str, str]]) -> str:
    """The text of a conversation, a line for each turn."""
    return "\n".join(f"{role}: {text}" for role, text in turns if text)


def conversation_of(turns: list[tuple[str, str]], system: list[str], rest: Any, others: bytes) -> Conversation:
    """``rest``: the messages without their texts; ``others``: all other fields."""
    return Conversation(
        text=spoken(turns), system="\n".join(system), messages=len(turns), rest=canonical(rest) + b"\0" + others
    )


_HOLDERS = frozenset({"content", "tool_calls"})
"""Keys below which blocks with such ids stand; what a tool is called with is not looked at."""
_NESTED = frozenset(b"{[")
_PLAIN_ID = re.compile(r"[ -!#-\[\]-~]{1,200}")
_PREFIX = re.compile(r"[A-Za-z]+[_-]")


def _places(data: bytes, ids: tuple[str, ...]) -> tuple[tuple[int, int, int], ...]:
    """Where ``ids`` stand as the value of a key that names an id."""
    plain = {old.encode(): which for which, old in enumerate(ids) if _PLAIN_ID.fullmatch(old)}
    if not plain:
        return ()
    # Inside a string the quotes are escaped: only keys of objects match.
    anyone = b"|".join(re.escape(old) for old in plain)
    found = re.finditer(rb'"(?:id|call_id|item_id|response_id|responseId)"\s*:\s*"(' + anyone + rb')"', data)
    return tuple((match.start(1), match.end(1), plain[match.group(1)]) for match in found)


def _fresh(old: str) -> str:
    """A new id of the same kind: the vendor's prefix stays."""
    prefix = _PREFIX.match(old)
    return new_id(prefix.group() if prefix else "id_")
