"""Anthropic's SDK, messages."""

from __future__ import annotations

from typing import Any

import anthropic
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import Message

from tests.support.conversations import SCHEMAS, SHAPE, Ask, Call, CannotSay, Refused, Results, Said, Tokens, User
from tests.support.surfaces.base import DESCRIPTIONS, DROPPED, id_of, plain


class MessagesClient:
    surface = "messages"

    def __init__(self, address: str, key: str) -> None:
        self._sdk = anthropic.AsyncAnthropic(api_key=key, base_url=f"{address}/anthropic", max_retries=0)

    async def close(self) -> None:
        await self._sdk.close()

    async def ask(self, model: str, ask: Ask, *, stream: bool = False) -> Said:
        fields = _fields(model, ask)
        try:
            raw = await self._sdk.messages.with_raw_response.create(**fields, stream=stream)
            parsed = await raw.parse()
            done = await _gathered(parsed) if stream else parsed
        except anthropic.APIStatusError as error:
            told = error.body["error"] if isinstance(error.body, dict) else {}
            raise _refused(error.status_code, told) from None
        return _said(done, raw.headers.get(DROPPED, ""))


def _refused(status: int, told: dict[str, Any]) -> Exception:
    return Refused(status, told.get("message", ""), told.get("code") or told.get("type", ""))


async def _gathered(stream: Any) -> Message:
    """By the SDK's own accumulator."""
    done: Any = None
    buffers: dict[int, bytes] = {}
    names = []
    async for event in stream:
        names.append(event.type)
        done = accumulate_event(event=event, current_snapshot=done, json_bufs=buffers)
    assert names[0] == "message_start"
    assert names[-1] == "message_stop"
    return done


def _said(done: Message, dropped: str) -> Said:
    said = Said(stop=done.stop_reason, dropped=dropped)
    said.back = [{"role": "assistant", "content": [_back(block) for block in done.content]}]
    for block in done.content:
        if block.type == "text":
            said.text += block.text
        elif block.type == "tool_use":
            said.calls.append(Call(block.name, dict(block.input), block.id))
        elif block.type == "thinking":
            said.thought += block.thinking
            if block.signature:
                said.seals.append(block.signature)
        elif block.type == "redacted_thinking":
            said.seals.append(block.data)
    if done.stop_sequence:
        said.stop = f"{said.stop} {done.stop_sequence}"
    used = done.usage
    thought = used.output_tokens_details.thinking_tokens if used.output_tokens_details else 0
    said.usage = Tokens(used.input_tokens, used.cache_read_input_tokens or 0, used.output_tokens, thought)
    return said


def _back(block: Any) -> dict[str, Any]:
    found = plain(block)
    return {name: value for name, value in found.items() if name not in ("caller", "citations")}


def _fields(model: str, ask: Ask) -> dict[str, Any]:
    if ask.seed is not None or ask.logprobs:
        raise CannotSay
    fields: dict[str, Any] = {"model": model, "messages": _messages(ask), "max_tokens": 4_000}
    mark = {"cache_control": {"type": "ephemeral"}} if ask.mark else {}
    if ask.system:
        fields["system"] = [{"type": "text", "text": ask.system, **mark}] if mark else ask.system
    if ask.tools:
        fields["tools"] = [
            {"name": name, "description": DESCRIPTIONS[name], "input_schema": SCHEMAS[name]} for name in ask.tools
        ]
    if ask.forced:
        fields["tool_choice"] = {"type": "tool", "name": ask.forced}
    if ask.shaped:
        fields["output_config"] = {"format": {"type": "json_schema", "schema": SHAPE}}
    if ask.thinking:
        fields["thinking"] = {"type": "enabled", "budget_tokens": 2_000}
    if ask.stop:
        fields["stop_sequences"] = list(ask.stop)
    if ask.top_k is not None:
        fields["extra_body"] = {"top_k": ask.top_k}
    return fields


def _messages(ask: Ask) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    calls: list[Call] = []
    for turn in ask.turns:
        if isinstance(turn, User):
            messages.append({"role": "user", "content": _content(turn)})
        elif isinstance(turn, Results):
            messages.append({"role": "user", "content": _results(turn, calls)})
        else:
            calls += turn.calls
            messages += turn.back
    return messages


def _results(turn: Results, calls: list[Call]) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    for result in turn.of:
        content: list[dict[str, Any]] = [{"type": "text", "text": result.text}]
        if result.image:
            content.append(_media("image", "image/png", result.image))
        block: dict[str, Any] = {"type": "tool_result", "tool_use_id": id_of(calls, result.name), "content": content}
        blocks.append({**block, "is_error": True} if result.failed else block)
    return blocks


def _content(turn: User) -> Any:
    if not turn.media:
        return turn.text
    mimes = {"image": "image/png", "document": "application/pdf"}
    media = [_media(one.kind, mimes[one.kind], one.data) for one in turn.media]
    return [*media, {"type": "text", "text": turn.text}]


def _media(kind: str, mime: str, data: str) -> dict[str, Any]:
    return {"type": kind, "source": {"type": "base64", "media_type": mime, "data": data}}
