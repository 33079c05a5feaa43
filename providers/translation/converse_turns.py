"""Writes a conversation as Converse's messages
(https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Message.html).

The user speaks first and both sides take turns; the results of one step stand first in one message, as the calls did;
no text is blank; a document has a text beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

from providers.canonical.names import NameRule, fitted
from providers.canonical.parts import CacheTtl, Media, Opaque, Part, Reasoning, Text, ToolCall, ToolResult, Turn
from providers.translation.base import bad
from providers.translation.converse_media import MediaWriter
from providers.translation.converse_models import Block, Target
from providers.translation.custom_tools import object_of
from providers.translation.reminders import reminder

_CALL_ID = NameRule(re.compile(r"[a-zA-Z0-9_.:-]+"), 64)
_OPENING = "(The conversation begins.)"
_NO_RESULT = "(no output)"
_AFTER_ALL_CALLS = 1 << 30

_Entry: TypeAlias = tuple[int | None, list[Block]]
"""Blocks that stay together; the position of the call that they answer, or ``None``."""


def system_of(turns: Sequence[Turn], target: Target) -> tuple[list[Block], Sequence[Turn]]:
    """The system prompt, from the system turns at the beginning, and the turns that follow it."""
    at = 0
    blocks: list[Block] = []
    while at < len(turns) and turns[at].role == "system":
        for part in turns[at].parts:
            if isinstance(part, Text):
                if not _blank(part.text):
                    blocks.append({"text": part.text})
                    blocks += target.cache_point(part.cache)
            elif isinstance(part, Opaque) and part.dialect == "converse":
                blocks.append(part.block)
            else:
                target.losses.demand(f"system.{type(part).__name__.lower()}")
        at += 1
    return blocks, turns[at:]


class Conversation:
    """The messages of one request, turn by turn."""

    def __init__(self, target: Target) -> None:
        self.called: dict[str, None] = {}
        """The tools that were called, as the target knows them."""
        self._target = target
        self._losses = target.losses
        self._media = MediaWriter(target.losses)
        self._messages: list[dict[str, Any]] = []
        self._role = ""
        self._entries: list[_Entry] = []
        self._documents: list[str] = []
        self._calls: dict[str, int] = {}

    def add(self, turn: Turn) -> None:
        """Raises ``BodyError`` for a result without a call."""
        role = "assistant" if turn.role == "assistant" else "user"
        parts: Iterable[Part] = reminder(turn) if turn.role == "system" else turn.parts
        entries = [entry for part in parts for entry in self._part(part, role)]
        if not entries:
            return
        if role != self._role:
            self._close()
            self._role = role
        self._entries += entries

    def messages(self) -> list[dict[str, Any]]:
        """All of them; nothing may be added any more."""
        self._close()
        if not self._messages or self._messages[0]["role"] == "assistant":
            self._messages.insert(0, {"role": "user", "content": [{"text": _OPENING}]})
        return self._messages

    def _close(self) -> None:
        if not self._entries:
            return
        entries, self._entries = self._entries, []
        user = self._role == "user"
        if user and len(entries) > 1:
            entries.sort(key=lambda entry: _AFTER_ALL_CALLS if entry[0] is None else entry[0])
        content = [block for _, blocks in entries for block in blocks]
        if user and self._documents:
            if not any("text" in block for block in content):
                content.append({"text": "\n".join(f"Document: {name}" for name in self._documents)})
            self._documents.clear()
        self._messages.append({"role": self._role, "content": content})

    def _part(self, part: Part, role: str) -> list[_Entry]:
        if isinstance(part, Text):
            return self._entry([] if _blank(part.text) else [{"text": part.text}], part.cache)
        if isinstance(part, ToolCall):
            return self._call(part)
        if isinstance(part, ToolResult):
            return self._result(part)
        if isinstance(part, Media):
            if role == "assistant":
                self._losses.demand(part.kind)
                return []
            block = self._media.block(part)
            if block is None:
                return []
            if part.kind == "document":
                self._documents.append(block["document"]["name"])
            return self._entry([block], part.cache)
        if isinstance(part, Reasoning):
            return self._reasoning(part)
        return self._opaque(part)

    def _entry(self, blocks: list[Block], cache: CacheTtl | None, position: int | None = None) -> list[_Entry]:
        return [(position, blocks + self._target.cache_point(cache))] if blocks else []

    def _call(self, call: ToolCall) -> list[_Entry]:
        name = self._target.names.given(call.name, call.namespace)
        self.called[name] = None
        self._calls[call.id] = len(self._calls)
        block = {"toolUse": {"toolUseId": fitted(call.id, _CALL_ID), "name": name, "input": object_of(call)}}
        return self._entry([block], call.cache)

    def _result(self, result: ToolResult) -> list[_Entry]:
        position = self._calls.get(result.call_id)
        if position is None:
            raise bad("messages", f"the tool result for {result.call_id!r} answers no call before it")
        content, apart, cache = self._content(result)
        inner: Block = {
            "toolUseId": fitted(result.call_id, _CALL_ID),
            "content": content or [{"text": _NO_RESULT}],
        }
        if result.is_error:
            if self._target.takes_status:
                inner["status"] = "error"
            else:
                self._losses.hint("is_error")
        entries = self._entry([{"toolResult": inner}], cache, position)
        if apart:
            entries.append((None, [{"text": f"Result of call {inner['toolUseId']}:"}, *apart]))
        return entries

    def _content(self, result: ToolResult) -> tuple[list[Block], list[Block], CacheTtl | None]:
        """What the result itself holds, what has to stand beside it (sound), and the mark on any of it."""
        content: list[Block] = []
        apart: list[Block] = []
        cache = result.cache
        for part in result.content:
            if isinstance(part, Text):
                if not _blank(part.text):
                    content.append({"text": part.text})
            elif isinstance(part, Media):
                block = self._media.block(part)
                if block is not None:
                    (apart if part.kind == "audio" else content).append(block)
            else:
                content.append({"text": f"Tool {self._target.names.given(part.name)} is available now."})
                continue
            cache = cache or part.cache
        return content, apart, cache

    def _reasoning(self, part: Reasoning) -> list[_Entry]:
        if not part.seal or part.dialect != "anthropic" or not self._target.takes_seals:
            self._losses.hint("reasoning")
            return []
        if part.redacted:
            return [(None, [{"reasoningContent": {"redactedContent": part.seal}}])]
        return [(None, [{"reasoningContent": {"reasoningText": {"text": part.text, "signature": part.seal}}}])]

    def _opaque(self, part: Opaque) -> list[_Entry]:
        if part.dialect == "converse":
            return [(None, [part.block])]
        if "citation" in part.kind:
            self._losses.hint(part.kind)
        else:
            self._losses.demand(part.kind)
        return []


def _blank(text: str) -> bool:
    """Nothing but white space, which the API refuses."""
    return not text or text.isspace()
