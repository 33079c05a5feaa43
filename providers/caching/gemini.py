"""Gemini for the cache (https://ai.google.dev/api/generate-content, …/embeddings).

A chunk of a stream is an answer like any other, so that a whole answer, sent as one event, is a stream.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from policies.caching.canonical import NotCanonical
from policies.caching.vocabulary import Answerable, Bypass, Conversation
from providers.caching.base import BAD, Answer, Fields, Judgement, conversation_of, decoded, event
from providers.dialects.base import ModelRequest

LEFT_OUT = frozenset({"labels"})
"""Fields that cannot change the answer (billing labels of Vertex AI)."""
_STATEFUL = frozenset({"cachedContent", "cached_content"})
"""Names what the vendor keeps."""
_GOOD_ENDS = frozenset({"STOP", "MAX_TOKENS"})
_SYSTEM = ("systemInstruction", "system_instruction")


class GeminiCaching:
    """``providers.caching.base.DialectCaching``."""

    def answerable(self, request: ModelRequest) -> Answerable | Bypass:
        if any(name in request.body for name in _STATEFUL):
            return Bypass("stateful")
        try:
            fields = Fields(request.body, LEFT_OUT)
        except NotCanonical:
            return Bypass("ambiguous")
        return Answerable(fields=fields.canonical, conversation=lambda: _conversation(fields))

    def judge(self, answer: Answer) -> Judgement:
        candidates = answer.get("candidates")
        if not isinstance(candidates, list) or not candidates:
            return BAD
        if any(candidate.get("finishReason") not in _GOOD_ENDS for candidate in candidates):
            return BAD
        calls = [part["functionCall"] for c in candidates for part in _parts(c) if "functionCall" in part]
        tools = any(part.keys() & {"executableCode", "toolCall"} for c in candidates for part in _parts(c))
        own = answer.get("responseId")
        return Judgement(
            True,
            (own,) if isinstance(own, str) and own else (),
            tuple(call["id"] for call in calls if isinstance(call.get("id"), str)),
            bool(calls) or tools,
        )

    def assemble(self, events: Iterable[bytes]) -> Answer | None:
        answer: Answer = {}
        candidates: dict[int, Answer] = {}
        for raw in events:
            chunk = decoded(raw)
            if chunk is None:
                continue
            if "error" in chunk:
                return None
            answer.update({name: value for name, value in chunk.items() if name != "candidates"})
            for said in chunk.get("candidates") or ():
                _take(candidates.setdefault(said.get("index", 0), {}), said)
        return {**answer, "candidates": [candidates[index] for index in sorted(candidates)]} if candidates else None

    def explode(self, answer: Answer) -> bytes | None:
        return event(answer)


class GeminiEmbeddingsCaching(GeminiCaching):
    """``embedContent`` and ``batchEmbedContents``: exact only, never a stream."""

    def answerable(self, request: ModelRequest) -> Answerable | Bypass:
        try:
            return Answerable(fields=Fields(request.body, LEFT_OUT).canonical)
        except NotCanonical:
            return Bypass("ambiguous")

    def judge(self, answer: Answer) -> Judgement:
        return Judgement(bool(answer.get("embedding") or answer.get("embeddings")))


def _parts(candidate: Answer) -> list[Answer]:
    return (candidate.get("content") or {}).get("parts") or []


def _take(candidate: Answer, said: Answer) -> None:
    """Add what one chunk says: text goes on in the part that it began in, everything else is a part of its own."""
    parts = _parts(candidate)
    for part in _parts(said):
        before = parts[-1] if parts else None
        if before is not None and _goes_on(before, part):
            parts[-1] = {**before, **part, "text": before["text"] + part["text"]}
        else:
            parts.append(dict(part))
    candidate.update({name: value for name, value in said.items() if name != "content"})
    role = (said.get("content") or candidate.get("content") or {}).get("role", "model")
    candidate["content"] = {"role": role, "parts": parts}


def _goes_on(before: Answer, part: Answer) -> bool:
    """Text of one kind (answer or thought); a signature ends its part."""
    plain = before.keys() <= {"text", "thought"} and part.keys() <= {"text", "thought", "thoughtSignature"}
    return plain and "text" in before and "text" in part and before.get("thought") == part.get("thought")


def _conversation(fields: Fields) -> Conversation | None:
    """``None`` where functions spoke, or in a shape that is not known."""
    contents = fields.value("contents")
    if not isinstance(contents, list):
        return None
    named = next((name for name in _SYSTEM if name in fields.canonical), None)
    system, system_rest = _text(fields.value(named)) if named is not None else ("", None)
    turns: list[tuple[str, str]] = []
    rest: list[Any] = [system_rest]
    for content in contents:
        text, others = _text(content)
        if text is None:
            return None
        turns.append((str(content.get("role", "user")), text))
        rest.append({"role": content.get("role"), "parts": others})
    if system is None:
        return None
    return conversation_of(turns, [system] if system else [], rest, fields.others("contents", *_SYSTEM))


def _text(content: Any) -> tuple[str | None, Any]:
    """The text of a content, and what else is in it; ``None`` where functions spoke."""
    parts = content.get("parts") if isinstance(content, dict) else None
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        return None, None
    if any(name.lower().startswith("function") for part in parts for name in part):
        return None, None
    texts = [part["text"] for part in parts if set(part) == {"text"} and isinstance(part["text"], str)]
    return "\n".join(texts), [part for part in parts if set(part) != {"text"}] or None
