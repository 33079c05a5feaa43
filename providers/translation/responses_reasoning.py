"""Reasoning items of OpenAI's responses (https://platform.openai.com/docs/guides/reasoning): what was thought and its
seal, read and written.

``encrypted_content`` is the field that every client keeps and sends again, also Codex, which leaves ids out. A seal of
another vendor is carried in it, with a word on whether it hides the thought (Anthropic's redacted thinking) or signs
what stands beside it: both come without text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from policies.ids import new_id
from providers.canonical.parts import Reasoning
from providers.canonical.seals import carry, restore
from providers.translation.base import bad
from providers.translation.responses_content import VENDOR, optional_text, text_field

_REDACTED = "~redacted"


def hidden(seal: str, dialect: str, *, redacted: bool) -> str:
    """``encrypted_content`` for a seal."""
    return carry(seal, dialect + _REDACTED if redacted and dialect != VENDOR else dialect, VENDOR)


def revealed(written: str, text: str) -> Reasoning:
    """The thought ``text`` with the seal that stands in ``encrypted_content``."""
    if not written:
        return Reasoning(text)
    seal, dialect = restore(written, VENDOR)
    if dialect == VENDOR:
        return Reasoning(text, seal, VENDOR, redacted=not text)
    return Reasoning(text, seal, dialect.removesuffix(_REDACTED), redacted=dialect.endswith(_REDACTED))


def read_reasoning(item: Mapping[str, Any], where: str) -> Reasoning | None:
    """``None`` for an item that holds nothing: its content lies with the vendor."""
    texts = [
        text_field(part, "text", f"{where}.{field}[{index}]")
        for field in ("summary", "content")
        for index, part in enumerate(_parts(item, field, where))
    ]
    thought = revealed(optional_text(item, "encrypted_content", where), "\n\n".join(text for text in texts if text))
    if not thought.text and not thought.seal:
        return None
    name = optional_text(item, "id", where)
    return Reasoning(thought.text, thought.seal, thought.dialect, thought.redacted, name)


def _parts(item: Mapping[str, Any], field: str, where: str) -> list[Mapping[str, Any]]:
    parts = item.get(field)
    if parts is None:
        return []
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        raise bad(f"{where}.{field}", "must be a list of objects")
    return parts


def reasoning_name(given: str = "") -> str:
    """The id of an item: the vendor's own, since it seals it too, or a new one."""
    return given if given.startswith("rs_") else new_id("rs_")


def reasoning_item(name: str, text: str, encrypted: str) -> dict[str, Any]:
    """An item of an answer."""
    summary = [{"type": "summary_text", "text": text}] if text else []
    item: dict[str, Any] = {"id": name, "type": "reasoning", "summary": summary}
    if encrypted:
        item["encrypted_content"] = encrypted
    return item
