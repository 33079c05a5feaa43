"""OpenAI responses and embeddings for the cache (https://platform.openai.com/docs/api-reference/responses,
…/responses-streaming).

The vendor keeps a response by default, and a later request may name it. So the id of a plain answer stays as it
is, and an answer that calls tools is kept only for requests with ``store: false``, whose ids nobody can name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from policies.caching.canonical import NotCanonical
from policies.caching.vocabulary import Answerable, Bypass, Conversation
from providers.caching.base import BAD, Answer, Fields, Judgement, conversation_of, decoded, event, with_plain_links
from providers.dialects.base import ModelRequest

LEFT_OUT = frozenset(
    {
        "model",
        "stream",
        "stream_options",
        "user",
        "safety_identifier",
        "metadata",
        "prompt_cache_key",
        "prompt_cache_retention",
        "service_tier",
    }
)
_STATEFUL = frozenset({"previous_response_id", "conversation", "background", "prompt"})
_LINKS = frozenset({"call_id"})
_EMPTY = (b"null", b"false")
_TERMINAL = frozenset({"response.completed", "response.incomplete"})
_SYSTEM = frozenset({"system", "developer"})
_TEXTS = frozenset({"input_text", "output_text"})


class ResponsesCaching:
    """``providers.caching.base.DialectCaching``."""

    def answerable(self, request: ModelRequest) -> Answerable | Bypass:
        if any(name in _STATEFUL and bytes(raw) not in _EMPTY for name, raw in request.body.items()):
            return Bypass("stateful")
        try:
            fields = Fields(request.body, LEFT_OUT)
        except NotCanonical:
            return Bypass("ambiguous")
        if fields.canonical.get("input", b"").find(b'"call_id"') >= 0:
            fields.put("input", with_plain_links(fields.value("input"), _LINKS))
        return Answerable(fields=fields.canonical, conversation=lambda: _conversation(fields))

    def judge(self, answer: Answer) -> Judgement:
        output = answer.get("output")
        status = answer.get("status")
        cut = (answer.get("incomplete_details") or {}).get("reason")
        if not isinstance(output, list) or not (
            status == "completed" or (status == "incomplete" and cut == "max_output_tokens")
        ):
            return BAD
        parts = [part for item in output if item.get("type") == "message" for part in item.get("content") or ()]
        if any(part.get("type") == "refusal" for part in parts):
            return BAD
        calls = any(str(item.get("type", "")).endswith("_call") for item in output)
        kept_upstream = answer.get("store") is not False
        if calls and kept_upstream:
            return BAD
        ids = [item["call_id"] for item in output if isinstance(item.get("call_id"), str)]
        own = answer.get("id")
        names = (own,) if isinstance(own, str) and own and not kept_upstream else ()
        return Judgement(True, names, tuple(ids), calls)

    def assemble(self, events: Iterable[bytes]) -> Answer | None:
        for raw in events:
            said = decoded(raw)
            if said is not None and said.get("type") in _TERMINAL and isinstance(said.get("response"), dict):
                found: Answer = said["response"]
                return found
        return None

    def explode(self, answer: Answer) -> bytes | None:
        begun = {**answer, "status": "in_progress", "output": [], "usage": None}
        told: list[Answer] = [
            {"type": "response.created", "response": begun},
            {"type": "response.in_progress", "response": begun},
        ]
        for index, item in enumerate(answer["output"]):
            told += _item_events(index, item)
        told.append({"type": f"response.{answer['status']}", "response": answer})
        return b"".join(event({**one, "sequence_number": n}, one["type"]) for n, one in enumerate(told))


class EmbeddingsCaching:
    """``POST /embeddings``: exact only, never a stream."""

    def answerable(self, request: ModelRequest) -> Answerable | Bypass:
        try:
            return Answerable(fields=Fields(request.body, LEFT_OUT).canonical)
        except NotCanonical:
            return Bypass("ambiguous")

    def judge(self, answer: Answer) -> Judgement:
        return Judgement(bool(answer.get("data")))

    def assemble(self, events: Iterable[bytes]) -> Answer | None:
        return None

    def explode(self, answer: Answer) -> bytes | None:
        return None


def _conversation(fields: Fields) -> Conversation | None:
    """``None`` where tools or reasoning stand in the input, or in a shape that is not known."""
    asked, instructions = fields.value("input"), fields.value("instructions")
    items = [{"role": "user", "content": asked}] if isinstance(asked, str) else asked
    if not isinstance(items, list):
        return None
    turns: list[tuple[str, str]] = []
    system = [instructions] if isinstance(instructions, str) else []
    rest: list[Any] = []
    for item in items:
        if not isinstance(item, dict) or item.get("type", "message") != "message":
            return None
        text, parts = _text(item.get("content"))
        if text is None:
            return None
        role = str(item.get("role"))
        if role in _SYSTEM:
            system.append(text)
        else:
            turns.append((role, text))
        rest.append({**{k: v for k, v in item.items() if k not in ("content", "id", "status")}, "content": parts})
    return conversation_of(turns, system, rest, fields.others("input", "instructions"))


def _text(content: Any) -> tuple[str | None, Any]:
    if isinstance(content, str):
        return content, None
    if not isinstance(content, list) or not all(isinstance(part, dict) for part in content):
        return None, None
    texts = [str(part.get("text", "")) for part in content if str(part.get("type")) in _TEXTS]
    return "\n".join(texts), [part for part in content if str(part.get("type")) not in _TEXTS] or None


def _item_events(index: int, item: Answer) -> Iterator[Answer]:
    """The events that tell one item of the output."""
    at = {"output_index": index}
    kind = item.get("type")
    empty = {**item, "status": "in_progress"} if "status" in item else item
    if kind == "message":
        empty = {**empty, "content": []}
    elif kind == "function_call":
        empty = {**empty, "arguments": ""}
    yield {"type": "response.output_item.added", **at, "item": empty}
    place = {**at, "item_id": item.get("id")}
    if kind == "message":
        for number, part in enumerate(item.get("content") or ()):
            yield from _part_events({**place, "content_index": number}, part)
    elif kind == "function_call":
        arguments = item.get("arguments", "")
        yield {"type": "response.function_call_arguments.delta", **place, "delta": arguments}
        yield {"type": "response.function_call_arguments.done", **place, "arguments": arguments}
    yield {"type": "response.output_item.done", **at, "item": item}


def _part_events(place: Answer, part: Answer) -> Iterator[Answer]:
    text = part.get("text", "")
    yield {"type": "response.content_part.added", **place, "part": {**part, "text": ""}}
    if part.get("type") == "output_text":
        yield {"type": "response.output_text.delta", **place, "delta": text, "logprobs": part.get("logprobs") or []}
        yield {"type": "response.output_text.done", **place, "text": text, "logprobs": part.get("logprobs") or []}
    yield {"type": "response.content_part.done", **place, "part": part}
