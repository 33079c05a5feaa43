"""YAML text becomes a tree in which every value and key knows its line.

Built from parser events, because a plain load forgets lines, keeps the last of two equal keys without
a word, recurses as deep as the file says, and expands aliases without bound. Scalars stay text: the
schema decides what they mean. YAML 1.2 by intent: ``yes`` and ``on`` are no booleans here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

import yaml

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 32
MAX_VALUES = 100_000
"""Values in the file with every alias written out: ten small anchors can stand for billions."""
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})


class SourceError(Exception):
    """The text is not a usable YAML document. ``line`` counts from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


@dataclass(slots=True)
class ScalarNode:
    """One scalar as written; ``text`` is ``None`` for a plain ``null``, ``~`` or nothing."""

    line: int
    text: str | None
    size: int = 1
    height: int = 0


@dataclass(slots=True)
class SequenceNode:
    line: int
    items: list[Node] = field(default_factory=list)
    size: int = 1
    height: int = 0


@dataclass(slots=True)
class Entry:
    """One ``key: value`` of a mapping, with the key's own line."""

    key: str
    line: int
    value: Node


@dataclass(slots=True)
class MappingNode:
    """``entries`` keeps order and repeated keys."""

    line: int
    entries: list[Entry] = field(default_factory=list)
    size: int = 1
    height: int = 0


Node: TypeAlias = ScalarNode | SequenceNode | MappingNode


def parse(data: bytes) -> Node:
    """The tree of the one document in ``data``. Raises ``SourceError`` at the first thing that makes the
    text unreadable: these cannot be collected, because nothing after them is certain."""
    if len(data) > MAX_BYTES:
        raise SourceError(0, f"the file is larger than {MAX_BYTES} bytes")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceError(data.count(b"\n", 0, error.start) + 1, "the file is not UTF-8") from None
    try:
        return _Builder(yaml.parse(text, Loader=yaml.SafeLoader)).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = ", ".join(part for part in (error.context, error.problem) if part)
        raise SourceError(mark.line + 1 if mark else 0, f"not valid YAML: {reason}{_advice(text, mark)}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise SourceError(line, f"not valid YAML: character U+{int(error.character):04X} is not allowed") from None


def _advice(text: str, mark: yaml.Mark | None) -> str:
    """A variable without quotes is the usual reason why a flow mapping breaks."""
    line = "".join(text.splitlines()[mark.line : mark.line + 1]) if mark else ""
    return '; inside { } and [ ] quote a variable: "${VAR}"' if "${" in line else ""


class _Builder:
    """Consumes events, one level of recursion per nesting level, at most ``MAX_DEPTH``."""

    def __init__(self, events: Iterator[yaml.Event]) -> None:
        self._events = events
        self._anchors: dict[str, Node] = {}

    def document(self) -> Node:
        root: Node | None = None
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not None:
                    raise SourceError(_line(event), "only one YAML document is allowed in the file")
                root = self._node(next(self._events), 0)
        return root if root is not None else MappingNode(1)

    def _node(self, event: yaml.Event, depth: int) -> Node:
        line = _line(event)
        if depth > MAX_DEPTH:
            raise SourceError(line, f"nested deeper than {MAX_DEPTH} levels")
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        if not isinstance(event, yaml.ScalarEvent | yaml.SequenceStartEvent | yaml.MappingStartEvent):
            raise SourceError(line, "not valid YAML")
        if event.tag is not None:
            raise SourceError(line, "YAML tags (!…) are not supported; quote the text if it begins with !")
        node = self._fresh(event, line, depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _fresh(self, event: yaml.Event, line: int, depth: int) -> Node:
        if isinstance(event, yaml.ScalarEvent):
            plain_null = event.style is None and event.value in _NULLS
            return ScalarNode(line, None if plain_null else event.value)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(line, depth)
        return self._mapping(line, depth)

    def _alias(self, event: yaml.AliasEvent) -> Node:
        target = self._anchors.get(event.anchor or "")
        if target is None:
            raise SourceError(_line(event), f"*{event.anchor} names no anchor that is complete before it")
        return target

    def _sequence(self, line: int, depth: int) -> SequenceNode:
        node = SequenceNode(line)
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            item = self._node(event, depth + 1)
            node.items.append(item)
            _grow(node, item, line)
        return node

    def _mapping(self, line: int, depth: int) -> MappingNode:
        node = MappingNode(line)
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key_line = _line(event)
            key = self._node(event, depth + 1)
            if not isinstance(key, ScalarNode) or key.text is None:
                raise SourceError(key_line, "a key must be a plain text")
            value = self._node(next(self._events), depth + 1)
            node.entries.append(Entry(key.text, key_line, value))
            _grow(node, value, line)
        return node


def _grow(parent: SequenceNode | MappingNode, child: Node, line: int) -> None:
    parent.size += child.size
    parent.height = max(parent.height, child.height + 1)
    if parent.size > MAX_VALUES:
        raise SourceError(line, f"more than {MAX_VALUES} values once every alias is written out")
    if parent.height > MAX_DEPTH:
        raise SourceError(line, f"nested deeper than {MAX_DEPTH} levels once every alias is written out")


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 0
