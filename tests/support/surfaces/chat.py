"""OpenAI's SDK, chat completions."""

from __future__ import annotations

import json
from typing import Any

import openai
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion

from tests.support.conversations import (
    SCHEMAS,
    SHAPE,
    Ask,
    Call,
    CannotSay,
    Refused,
    Results,
    Said,
    Tokens,
    User,
)
from tests.support.surfaces.base import DESCRIPTIONS, DROPPED, as_data_url, id_of, plain


class ChatClient:
    surface = "chat"

    def __init__(self, address: str, key: str) -> None:
        self._sdk = openai.AsyncOpenAI(api_key=key, base_url=f"{address}/v1", max_retries=0)

    async def close(self) -> None:
        await self._sdk.close()

    async def ask(self, model: str, ask: Ask, *, stream: bool = False) -> Said:
        fields = _fields(model, ask)
        if stream:
            fields |= {"stream": True, "stream_options": {"include_usage": True}}
        try:
            raw = await self._sdk.chat.completions.with_raw_response.create(**fields)
            done = await _gathered(raw.parse()) if stream else raw.parse()
        except openai.APIStatusError as error:
            raise refused(error) from None
        return _said(done, raw.headers.get(DROPPED, ""))


def refused(error: openai.APIStatusError) -> Refused:
    body = error.body if isinstance(error.body, dict) else {}
    return Refused(error.status_code, body.get("message", ""), body.get("code") or "")


async def _gathered(stream: Any) -> ChatCompletion:
    """By the SDK's own accumulator, but for OpenRouter's ``reasoning_details``, which the SDK does not know."""
    state: ChatCompletionStreamState[Any] = ChatCompletionStreamState(
        input_tools=openai.omit, response_format=openai.omit
    )
    details: dict[int, dict[str, Any]] = {}
    async for chunk in stream:
        for choice in chunk.choices:
            for piece in (choice.delta.model_extra or {}).pop("reasoning_details", ()):
                held = details.setdefault(piece["index"], {})
                for name, value in piece.items():
                    held[name] = held.get(name, "") + value if name in ("text", "summary") else value
        state.handle_chunk(chunk)
    done = state.current_completion_snapshot
    if details:
        done.choices[0].message.reasoning_details = list(details.values())  # type: ignore[attr-defined]
    return done


def _said(done: ChatCompletion, dropped: str) -> Said:
    choice, used = done.choices[0], done.usage
    message = choice.message
    more = message.model_extra or {}
    details = more.get("reasoning_details") or []
    back: dict[str, Any] = {"role": "assistant", "content": message.content}
    calls = [plain(call) for call in message.tool_calls or ()]
    for call in calls:
        call.pop("index", None)
        call["function"].pop("parsed_arguments", None)
    if calls:
        back["tool_calls"] = calls
    if details:
        back["reasoning_details"] = details
    usage = None
    if used is not None:
        cached = used.prompt_tokens_details.cached_tokens if used.prompt_tokens_details else 0
        thought = used.completion_tokens_details.reasoning_tokens if used.completion_tokens_details else 0
        usage = Tokens(used.prompt_tokens - (cached or 0), cached or 0, used.completion_tokens, thought or 0)
    return Said(
        text=message.content or message.refusal or "",
        thought=more.get("reasoning_content") or more.get("reasoning") or "",
        seals=[seal for one in details if (seal := one.get("signature") or one.get("data"))],
        calls=[Call(c["function"]["name"], json.loads(c["function"]["arguments"]), c["id"]) for c in calls],
        stop=choice.finish_reason,
        usage=usage,
        dropped=dropped,
        back=[back],
    )


def _fields(model: str, ask: Ask) -> dict[str, Any]:
    if ask.top_k is not None:
        raise CannotSay
    fields: dict[str, Any] = {"model": model, "messages": _messages(ask), "max_completion_tokens": 4_000}
    if ask.tools:
        fields["tools"] = [
            {"type": "function", "function": {"name": n, "description": DESCRIPTIONS[n], "parameters": SCHEMAS[n]}}
            for n in ask.tools
        ]
    if ask.forced:
        fields["tool_choice"] = {"type": "function", "function": {"name": ask.forced}}
    if ask.shaped:
        shape = {"name": "forecast", "schema": SHAPE, "strict": True}
        fields["response_format"] = {"type": "json_schema", "json_schema": shape}
    if ask.thinking:
        fields["reasoning_effort"] = "medium"
    if ask.stop:
        fields["stop"] = list(ask.stop)
    if ask.seed is not None:
        fields["seed"] = ask.seed
    if ask.logprobs:
        fields["logprobs"] = True
    return fields


def _messages(ask: Ask) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    if ask.system:
        mark = {"prompt_cache_breakpoint": {"mode": "explicit"}} if ask.mark else {}
        content = [{"type": "text", "text": ask.system, **mark}] if mark else ask.system
        messages.append({"role": "system", "content": content})
    calls: list[Call] = []
    for turn in ask.turns:
        if isinstance(turn, User):
            messages.append({"role": "user", "content": _content(turn)})
        elif isinstance(turn, Results):
            for result in turn.of:
                if result.image:
                    raise CannotSay
                messages.append({"role": "tool", "tool_call_id": id_of(calls, result.name), "content": result.text})
        else:
            calls += turn.calls
            messages += turn.back
    return messages


def _content(turn: User) -> Any:
    if not turn.media:
        return turn.text
    parts: list[dict[str, Any]] = [{"type": "text", "text": turn.text}]
    for media in turn.media:
        if media.kind == "image":
            parts.append({"type": "image_url", "image_url": {"url": as_data_url("image/png", media.data)}})
        else:
            file = {"filename": "paper.pdf", "file_data": as_data_url("application/pdf", media.data)}
            parts.append({"type": "file", "file": file})
    return parts
