"""Reads the content blocks of Anthropic's messages (https://docs.anthropic.com/en/api/messages, ``content``)."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, cast

import msgspec

from providers.canonical.parts import (
    CacheTtl,
    Content,
    Media,
    MediaKind,
    Opaque,
    Part,
    Reasoning,
    Text,
    ToolCall,
    ToolReference,
    ToolResult,
)
from providers.canonical.seals import restore
from providers.translation.base import bad
from providers.translation.call_book import CallBook
from providers.translation.checks import an_object, base64_text, flag, listed, text


def cache_of(block: Mapping[str, Any], field: str) -> CacheTtl | None:
    """A block's cache mark."""
    mark = block.get("cache_control")
    if mark is None:
        return None
    ttl = an_object(mark, f"{field}.cache_control").get("ttl") or "5m"
    if ttl not in ("5m", "1h"):
        raise bad(f"{field}.cache_control.ttl", f"{ttl!r} is neither '5m' nor '1h'")
    return cast(CacheTtl, ttl)


def texts_of(content: Any, field: str, carried: dict[str, Any]) -> tuple[Text, ...]:
    """A string, or text blocks and nothing else."""
    if isinstance(content, str):
        return (Text(content),) if content else ()
    found: list[Text] = []
    for n, block in enumerate(listed(content, field)):
        at = f"{field}.{n}"
        kind = an_object(block, at).get("type")
        if kind != "text":
            raise bad(f"{at}.type", f"{kind!r} is not 'text'")
        found.append(_text(block, at, carried))
    return tuple(found)


def block_of(block: Any, field: str, role: str, book: CallBook, carried: dict[str, Any]) -> Part:
    """One content block of a message of ``role``."""
    fields = an_object(block, field)
    kind = text(fields.get("type"), f"{field}.type")
    if kind == "tool_use":
        call_id = text(fields.get("id"), f"{field}.id")
        book.call(call_id, f"{field}.id")
        arguments = msgspec.json.encode(an_object(fields.get("input", {}), f"{field}.input")).decode()
        name = text(fields.get("name"), f"{field}.name")
        return ToolCall(call_id, name, arguments, cache=cache_of(fields, field))
    if kind == "tool_result":
        if role != "user":
            raise bad(field, "tool_result blocks can only be in user messages")
        return _result(fields, field, book, carried)
    if kind == "thinking":
        thought = text(fields.get("thinking", ""), f"{field}.thinking", empty=True)
        seal, dialect = restore(text(fields.get("signature", ""), f"{field}.signature", empty=True), "anthropic")
        # A seal that was carried knows itself whether it hides a text.
        return Reasoning(thought, seal, dialect if seal else "")
    if kind == "redacted_thinking":
        seal, dialect = restore(text(fields.get("data"), f"{field}.data"), "anthropic")
        return Reasoning("", seal, dialect, redacted=True)
    found = _content(fields, kind, field, carried)
    if isinstance(found, ToolReference):
        raise bad(f"{field}.type", "'tool_reference' stands in tool results only")
    return found


def _result(block: Mapping[str, Any], field: str, book: CallBook, carried: dict[str, Any]) -> ToolResult:
    call_id = text(block.get("tool_use_id"), f"{field}.tool_use_id")
    book.result(call_id, f"{field}.tool_use_id")
    content = block.get("content", "")
    parts: list[Content] = []
    if isinstance(content, str):
        parts = [Text(content)] if content else []
    else:
        for n, item in enumerate(listed(content, f"{field}.content")):
            at = f"{field}.content.{n}"
            found = _content(an_object(item, at), text(item.get("type"), f"{at}.type"), at, carried)
            if isinstance(found, Opaque):
                carried[f"tool_result.{found.kind}"] = True
                found = Text(msgspec.json.encode(found.block).decode())
            parts.append(found)
    failed = flag(block.get("is_error"), f"{field}.is_error") or False
    return ToolResult(call_id, tuple(parts), failed, cache_of(block, field))


_KNOWN_ELSEWHERE = frozenset({"container_upload", "search_result", "browser_state", "compaction"})


def _content(
    block: Mapping[str, Any], kind: str, field: str, carried: dict[str, Any]
) -> Text | Media | ToolReference | Opaque:
    if kind == "text":
        return _text(block, field, carried)
    if kind == "image":
        return _media("image", block, field)
    if kind == "document":
        return _document(block, field, carried)
    if kind == "tool_reference":
        return ToolReference(text(block.get("tool_name"), f"{field}.tool_name"))
    if kind in _KNOWN_ELSEWHERE or kind.endswith(("_tool_use", "_tool_result")):
        return Opaque("anthropic", kind, block)
    raise bad(f"{field}.type", f"{kind!r} is no content block of this API")


def _text(block: Mapping[str, Any], field: str, carried: dict[str, Any]) -> Text:
    if block.get("citations"):
        carried["citations"] = True
    return Text(text(block.get("text"), f"{field}.text", empty=True), cache_of(block, field))


def _document(block: Mapping[str, Any], field: str, carried: dict[str, Any]) -> Media | Opaque:
    source = an_object(block.get("source"), f"{field}.source")
    citations = block.get("citations")
    if citations is not None and an_object(citations, f"{field}.citations").get("enabled"):
        carried["document.citations"] = True
    if block.get("context"):
        carried["document.context"] = True
    title = text(block.get("title") or "", f"{field}.title", empty=True)
    if source.get("type") == "content":
        return Opaque("anthropic", "document", block)
    if source.get("type") == "text":
        words = text(source.get("data"), f"{field}.source.data", empty=True)
        data = base64.b64encode(words.encode()).decode()
        return Media("document", "text/plain", data, name=title, cache=cache_of(block, field))
    return msgspec.structs.replace(_media("document", block, field), name=title)


def _media(kind: MediaKind, block: Mapping[str, Any], field: str) -> Media:
    at = f"{field}.source"
    source = an_object(block.get("source"), at)
    sort = source.get("type")
    cache = cache_of(block, field)
    if sort == "base64":
        mime = text(source.get("media_type"), f"{at}.media_type")
        return Media(kind, mime, base64_text(source.get("data"), f"{at}.data"), cache=cache)
    if sort == "url":
        return Media(kind, url=text(source.get("url"), f"{at}.url"), cache=cache)
    if sort == "file":
        return Media(kind, file_id=text(source.get("file_id"), f"{at}.file_id"), dialect="anthropic", cache=cache)
    raise bad(f"{at}.type", f"{sort!r} is none of 'base64', 'url', 'file'")
