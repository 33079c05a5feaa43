"""Writes a conversation as Anthropic's messages (https://docs.anthropic.com/en/api/messages, ``messages``)."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from typing import Any

from providers.canonical.losses import Losses
from providers.canonical.names import PLAIN_64, ToolNames, fitted
from providers.canonical.parts import (
    CacheTtl,
    Content,
    Media,
    Opaque,
    Part,
    Reasoning,
    Text,
    ToolCall,
    ToolReference,
    ToolResult,
    Turn,
)
from providers.translation.custom_tools import object_of
from providers.translation.reminders import reminder

_IMAGES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_PDF = "application/pdf"


def cache_control(ttl: CacheTtl) -> dict[str, str]:
    """A cache mark as this API writes it."""
    return {"type": "ephemeral"} if ttl == "5m" else {"type": "ephemeral", "ttl": ttl}


def system_of(turns: Sequence[Turn]) -> tuple[list[dict[str, Any]] | str, Sequence[Turn]]:
    """The system prompt, from the system turns at the beginning, and the turns that follow it."""
    at = 0
    while at < len(turns) and turns[at].role == "system":
        at += 1
    parts = [part for turn in turns[:at] for part in turn.parts if isinstance(part, Text) and part.text]
    if len(parts) == 1 and parts[0].cache is None:
        return parts[0].text, turns[at:]
    return [_text(part) for part in parts], turns[at:]


def messages_of(turns: Iterable[Turn], names: ToolNames, losses: Losses, *, own: bool) -> list[dict[str, Any]]:
    """``own``: the request was read from this dialect, which takes system turns in the middle."""
    writer = _Writer(names, losses)
    messages: list[dict[str, Any]] = []
    for turn in turns:
        role = turn.role
        if role == "system":
            parts: Sequence[Part] = turn.parts if own else reminder(turn)
            role = "system" if own else "user"
        else:
            parts = turn.parts
        blocks = [block for part in parts if (block := writer.block(part)) is not None]
        if not blocks:
            continue
        if messages and messages[-1]["role"] == role and not own:
            _join(messages[-1], blocks)
        else:
            messages.append({"role": role, "content": blocks})
    for message in messages:
        blocks = message["content"]
        if len(blocks) == 1 and blocks[0].keys() == {"type", "text"}:
            message["content"] = blocks[0]["text"]
    return messages


def _join(message: dict[str, Any], blocks: list[dict[str, Any]]) -> None:
    """Turns of one side in a row are one message; the results of a step stand before all else in it."""
    content: list[dict[str, Any]] = message["content"]
    content += blocks
    if message["role"] == "user" and any(block["type"] == "tool_result" for block in blocks):
        content.sort(key=lambda block: block["type"] != "tool_result")


class _Writer:
    """Writes the parts of one conversation."""

    __slots__ = ("_losses", "_names")

    def __init__(self, names: ToolNames, losses: Losses) -> None:
        self._names = names
        self._losses = losses

    def block(self, part: Part) -> dict[str, Any] | None:
        """One content block; ``None`` for what this API cannot take, which is then among the losses."""
        if isinstance(part, Text):
            return _text(part) if part.text else None
        if isinstance(part, Media):
            return self._media(part)
        if isinstance(part, ToolCall):
            return self._call(part)
        if isinstance(part, ToolResult):
            return self._result(part)
        if isinstance(part, Reasoning):
            return self._reasoning(part)
        return self._opaque(part)

    def _call(self, call: ToolCall) -> dict[str, Any]:
        block: dict[str, Any] = {
            "type": "tool_use",
            "id": fitted(call.id, PLAIN_64),
            "name": self._names.given(call.name, call.namespace),
            "input": object_of(call),
        }
        return _marked(block, call.cache)

    def _result(self, result: ToolResult) -> dict[str, Any]:
        block: dict[str, Any] = {"type": "tool_result", "tool_use_id": fitted(result.call_id, PLAIN_64)}
        content = [found for part in result.content if (found := self._content(part)) is not None]
        if len(content) == 1 and content[0].keys() == {"type", "text"}:
            block["content"] = content[0]["text"]
        elif content:
            block["content"] = content
        if result.is_error:
            block["is_error"] = True
        return _marked(block, result.cache)

    def _content(self, part: Content) -> dict[str, Any] | None:
        if isinstance(part, ToolReference):
            return {"type": "tool_reference", "tool_name": self._names.given(part.name)}
        return self.block(part)

    def _reasoning(self, part: Reasoning) -> dict[str, Any] | None:
        if not part.seal or part.dialect != "anthropic":
            self._losses.hint("reasoning")
            return None
        if part.redacted:
            return {"type": "redacted_thinking", "data": part.seal}
        return {"type": "thinking", "thinking": part.text, "signature": part.seal}

    def _opaque(self, part: Opaque) -> dict[str, Any] | None:
        if part.dialect == "anthropic":
            block: dict[str, Any] = part.block
            return block
        self._losses.demand(part.kind)
        return None

    def _media(self, part: Media) -> dict[str, Any] | None:
        source = self._source(part)
        if source is None:
            return None
        block: dict[str, Any] = {"type": part.kind, "source": source}
        if part.name and part.kind == "document":
            block["title"] = part.name
        return _marked(block, part.cache)

    def _source(self, part: Media) -> dict[str, Any] | None:
        if part.kind not in ("image", "document"):
            self._losses.demand(part.kind)
        elif part.file_id and part.dialect != "anthropic":
            self._losses.demand("file_id")
        elif part.file_id:
            return {"type": "file", "file_id": part.file_id}
        elif part.url:
            return {"type": "url", "url": part.url}
        elif part.kind == "image" and part.mime not in _IMAGES:
            self._losses.demand(f"image of type {part.mime}")
        elif part.kind == "document" and part.mime.startswith("text/"):
            words = base64.b64decode(part.data).decode(errors="replace")
            return {"type": "text", "media_type": "text/plain", "data": words}
        elif part.kind == "document" and part.mime != _PDF:
            self._losses.demand(f"document of type {part.mime}")
        else:
            return {"type": "base64", "media_type": part.mime, "data": part.data}
        return None


def _text(part: Text) -> dict[str, Any]:
    return _marked({"type": "text", "text": part.text}, part.cache)


def _marked(block: dict[str, Any], cache: CacheTtl | None) -> dict[str, Any]:
    if cache is not None:
        block["cache_control"] = cache_control(cache)
    return block
