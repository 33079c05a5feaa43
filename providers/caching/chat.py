"""OpenAI chat completions for the cache (https://platform.openai.com/docs/api-reference/chat, …/chat-streaming)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from policies.caching.canonical import NotCanonical
from policies.caching.vocabulary import Answerable, Bypass, Conversation
from providers.caching.base import BAD, Answer, Fields, Judgement, conversation_of, decoded, event, with_plain_links
from providers.dialects.base import ModelRequest

LEFT_OUT = frozenset(
    {
        "model",  # the subject
        "stream",
        "stream_options",
        "user",
        "safety_identifier",
        "metadata",
        "prompt_cache_key",
        "prompt_cache_retention",
        "service_tier",
        "store",
    }
)
"""Fields that cannot change the answer: the form, who asks, what it costs."""
_LINKS = frozenset({"id", "tool_call_id"})
_SYSTEM = frozenset({"system", "developer"})
_SPEAKERS = frozenset({"user", "assistant", *_SYSTEM})
_GOOD_ENDS = frozenset({"stop", "length", "tool_calls", "function_call"})
_ONCE = frozenset({"role", "index", "id", "type", "object"})
"""Fields of a delta that are told, not continued."""


class ChatCaching:
    """``providers.caching.base.DialectCaching``."""

    def answerable(self, request: ModelRequest) -> Answerable | Bypass:
        if bytes(request.body.get("store", b"false")) not in (b"false", b"null"):
            return Bypass("stateful")
        try:
            fields = Fields(request.body, LEFT_OUT)
        except NotCanonical:
            return Bypass("ambiguous")
        if fields.canonical.get("messages", b"").find(b'"tool_call_id"') >= 0:
            fields.put("messages", with_plain_links(fields.value("messages"), _LINKS))
        return Answerable(fields=fields.canonical, conversation=lambda: _conversation(fields))

    def judge(self, answer: Answer) -> Judgement:
        choices = answer.get("choices")
        if not isinstance(choices, list) or not choices:
            return BAD
        tool_ids: list[str] = []
        calls = False
        for choice in choices:
            message = choice.get("message") or {}
            if choice.get("finish_reason") not in _GOOD_ENDS or message.get("refusal"):
                return BAD
            calls = calls or bool(message.get("tool_calls") or message.get("function_call"))
            tool_ids += [call["id"] for call in message.get("tool_calls") or () if isinstance(call.get("id"), str)]
        own = answer.get("id")
        return Judgement(True, (own,) if isinstance(own, str) and own else (), tuple(tool_ids), calls)

    def assemble(self, events: Iterable[bytes]) -> Answer | None:
        answer: Answer = {}
        choices: dict[int, Answer] = {}
        for raw in events:
            chunk = decoded(raw)
            if chunk is None:
                continue
            if "error" in chunk:
                return None
            answer.update({k: v for k, v in chunk.items() if k != "choices" and (v is not None or k not in answer)})
            for choice in chunk.get("choices") or ():
                _take(choices.setdefault(choice.get("index", 0), {"message": {}}), choice)
        if not choices:
            return None
        done = [
            {"index": index, **choice, "message": _message(choice["message"])}
            for index, choice in sorted(choices.items())
        ]
        return {**answer, "object": "chat.completion", "choices": done}

    def explode(self, answer: Answer) -> bytes | None:
        base = {k: v for k, v in answer.items() if k not in ("choices", "usage")}
        base["object"] = "chat.completion.chunk"
        usage = {"usage": None} if answer.get("usage") else {}
        parts: list[bytes] = []
        for choice in answer["choices"]:
            for delta, more in _deltas(choice):
                one = {"index": choice.get("index", 0), "delta": delta, "finish_reason": None, **more}
                parts.append(event({**base, "choices": [one], **usage}))
        if usage:
            parts.append(event({**base, "choices": [], "usage": answer["usage"]}))
        return b"".join((*parts, b"data: [DONE]\n\n"))


def _conversation(fields: Fields) -> Conversation | None:
    """``None`` where tools spoke, or in a shape that is not known."""
    messages = fields.value("messages")
    if not isinstance(messages, list):
        return None
    turns: list[tuple[str, str]] = []
    system: list[str] = []
    rest: list[Any] = []
    for message in messages:
        if not isinstance(message, dict) or str(message.get("role")) not in _SPEAKERS:
            return None
        if message.get("tool_calls") or message.get("function_call"):
            return None
        text, parts = _text(message.get("content"))
        if text is None:
            return None
        if message["role"] in _SYSTEM:
            system.append(text)
        else:
            turns.append((message["role"], text))
        rest.append({**{k: v for k, v in message.items() if k != "content"}, "content": parts})
    return conversation_of(turns, system, rest, fields.others("messages"))


def _text(content: Any) -> tuple[str | None, Any]:
    """A message's text, and what else is in it."""
    if isinstance(content, str):
        return content, None
    if not isinstance(content, list):
        return None, None
    texts = [part["text"] for part in content if _is_text(part)]
    return "\n".join(texts), [part for part in content if not _is_text(part)]


def _is_text(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str)


def _take(choice: Answer, said: Answer) -> None:
    """Add what one chunk says of one choice."""
    for name, value in said.items():
        if name == "delta":
            _merge(choice["message"], value or {})
        elif name == "logprobs" and isinstance(value, dict) and isinstance(choice.get("logprobs"), dict):
            _merge(choice["logprobs"], value)
        elif value is not None or name not in choice:
            choice[name] = value


def _merge(whole: Answer, part: Answer) -> None:
    """Continue strings and lists; tool calls by their index."""
    for name, value in part.items():
        known = whole.get(name)
        if name == "tool_calls" and isinstance(value, list):
            calls = whole.setdefault("tool_calls", {})
            for call in value:
                _merge(calls.setdefault(call.get("index", 0), {}), call)
        elif value is None:
            whole.setdefault(name, None)
        elif known is None or name in _ONCE:
            whole[name] = dict(value) if isinstance(value, dict) else value
        elif type(known) is type(value) and isinstance(value, str | list):
            whole[name] = known + value
        elif isinstance(known, dict) and isinstance(value, dict):
            _merge(known, value)
        else:
            whole[name] = value


def _message(message: Answer) -> Answer:
    """A merged message as a complete answer holds it."""
    calls = message.get("tool_calls")
    if isinstance(calls, dict):
        listed = [{k: v for k, v in call.items() if k != "index"} for _, call in sorted(calls.items())]
        message = {**message, "tool_calls": listed}
        if message.get("content") == "":
            message["content"] = None
    return {"role": "assistant", "content": None, **message}


def _deltas(choice: Answer) -> Iterable[tuple[Answer, Answer]]:
    """The deltas that tell one choice, each with what stands beside it."""
    message = choice.get("message") or {}
    yield {"role": message.get("role", "assistant"), "content": ""}, {}
    calls = message.get("tool_calls") or ()
    told = {k: v for k, v in message.items() if k not in ("role", "content", "tool_calls") and v is not None}
    for name, value in told.items():
        yield {name: value}, {}
    if message.get("content"):
        logprobs = choice.get("logprobs")
        yield {"content": message["content"]}, {} if logprobs is None else {"logprobs": logprobs}
    for index, call in enumerate(calls):
        function = call.get("function") or {}
        yield {"tool_calls": [{"index": index, **call, "function": {**function, "arguments": ""}}]}, {}
        yield {"tool_calls": [{"index": index, "function": {"arguments": function.get("arguments", "")}}]}, {}
    yield {}, {"finish_reason": choice.get("finish_reason")}
