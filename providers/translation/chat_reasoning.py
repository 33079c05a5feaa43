"""Thoughts and their seals in chat completions: ``reasoning_details``, which OpenRouter documents and hands through to
the vendor of the model (https://openrouter.ai/docs/use-cases/reasoning-tokens), and the bare ``reasoning_content``.

A seal of another vendor is carried in ``signature`` (it signs a text) or ``data`` (it hides one, or signs the call
whose id stands beside it). OpenRouter's own seals are known by its ``format``. Claude's signatures hold wherever Claude
runs, so they count as Anthropic's; whether others do is not documented, and they go back only where they came from.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from providers.canonical.parts import Media, Reasoning, Text, ToolCall
from providers.canonical.seals import carry, restore

_Said = TypeVar("_Said", bound="Text | Media")
_OPENROUTER = "openrouter:"
_FORMATS: Mapping[str, str] = {
    "anthropic": "anthropic-claude-v1",
    "bedrock": "anthropic-claude-v1",
    "gemini": "google-gemini-v1",
    "openai": "openai-responses-v1",
}
_SIGNS_CALLS = frozenset({"gemini", f"{_OPENROUTER}google-gemini-v1"})
_APART = _SIGNS_CALLS | {
    f"{_OPENROUTER}openai-responses-v1",
    f"{_OPENROUTER}azure-openai-responses-v1",
    f"{_OPENROUTER}xai-responses-v1",
}
"""Whose seal is an entry of its own beside the text's."""


def is_native(dialect: str) -> bool:
    """Whether a provider with ``reasoning_details`` can read the seal."""
    return dialect == "anthropic" or dialect.startswith(_OPENROUTER)


def read_detail(entry: Any) -> Reasoning | None:
    """One entry, or a fragment of one; ``None`` for what is no thought, or has another shape."""
    if not isinstance(entry, dict):
        return None
    kind = entry.get("type")
    if kind == "reasoning.text":
        text, written = entry.get("text") or "", entry.get("signature") or ""
    elif kind == "reasoning.summary":
        text, written = entry.get("summary") or "", ""
    elif kind == "reasoning.encrypted":
        text, written = "", entry.get("data") or ""
    else:
        return None
    form, name = entry.get("format") or "", entry.get("id") or ""
    if not all(isinstance(value, str) for value in (text, written, form, name)):
        return None
    found_in = "anthropic" if form == _FORMATS["anthropic"] else _OPENROUTER + form
    seal, dialect = restore(written, found_in) if written else ("", "")
    redacted = kind == "reasoning.encrypted" and dialect not in _SIGNS_CALLS
    return Reasoning(text, seal, dialect, redacted, name if seal else "")


def written_details(part: Reasoning, call_id: str, through: str = "openai_chat") -> Iterator[dict[str, Any]]:
    """The entries for one thought. ``call_id``: of the call that follows it, which its seal may sign. ``through``: for
    a client a seal is carried; a provider that can read it gets it as it is (its own dialect)."""
    seal = _written_seal(part.seal, part.dialect, through)
    beside = _beside(part.dialect, part.id)
    if part.redacted or (seal and part.dialect in _APART):
        if part.text:
            yield {**text_detail(part.text, part.dialect), **beside}
        name = part.id or (call_id if part.dialect in _SIGNS_CALLS else "")
        yield _sealed(seal, part.dialect, redacted=part.redacted, name=name)
    else:
        entry = {**text_detail(part.text, part.dialect), **beside}
        yield {**entry, "signature": seal} if seal else entry


def sealed_detail(seal: str, dialect: str, *, redacted: bool, name: str) -> dict[str, Any]:
    """The entry that ends a thought for a client: a signature on the text before it, or a seal of its own."""
    return _sealed(_written_seal(seal, dialect, "openai_chat"), dialect, redacted=redacted, name=name)


def _sealed(written: str, dialect: str, *, redacted: bool, name: str) -> dict[str, Any]:
    if redacted or dialect in _APART:
        return {"type": "reasoning.encrypted", "data": written, **_beside(dialect, name)}
    return {"type": "reasoning.text", "text": "", "signature": written, **_beside(dialect, name)}


def text_detail(text: str, dialect: str = "") -> dict[str, Any]:
    """A text that was thought."""
    if dialect in _APART and dialect not in _SIGNS_CALLS:
        return {"type": "reasoning.summary", "summary": text}
    return {"type": "reasoning.text", "text": text}


def signs_calls(dialect: str) -> bool:
    """Whether the vendor seals calls rather than thoughts."""
    return dialect in _SIGNS_CALLS


def _written_seal(seal: str, dialect: str, through: str) -> str:
    return carry(seal, dialect, dialect if dialect.startswith(_OPENROUTER) else through)


def _beside(dialect: str, name: str) -> dict[str, str]:
    form = dialect.removeprefix(_OPENROUTER) if dialect.startswith(_OPENROUTER) else _FORMATS.get(dialect, "")
    found = {"id": name} if name else {}
    if form:
        found["format"] = form
    return found


def in_order(
    thoughts: Iterable[Reasoning], texts: Iterable[_Said], calls: Sequence[ToolCall]
) -> list[_Said | Reasoning | ToolCall]:
    """What an assistant said: thoughts first, then text, then calls, each after the thought that signs it."""
    found: list[_Said | Reasoning | ToolCall] = []
    ids = {call.id for call in calls}
    signing: dict[str, list[Reasoning]] = {}
    for thought in thoughts:
        if thought.id in ids:
            signing.setdefault(thought.id, []).append(thought)
        else:
            add_thought(found, thought)
    found.extend(texts)
    for call in calls:
        for thought in signing.get(call.id, ()):
            add_thought(found, thought)
        found.append(call)
    return found


def add_thought(parts: list[Any], thought: Reasoning) -> None:
    """A thought without a seal goes on in the next one: that is how a stream tells it, too."""
    last = parts[-1] if parts else None
    if isinstance(last, Reasoning) and not last.seal:
        text, seal, dialect = last.text + thought.text, thought.seal, thought.dialect
        parts[-1] = Reasoning(text, seal, dialect, thought.redacted and not text, thought.id)
    elif thought.text or thought.seal:
        parts.append(thought)
