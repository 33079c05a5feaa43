"""OpenAI's SDK, responses."""

from __future__ import annotations

import json
from typing import Any

import openai
from openai.types.responses import Response

from tests.support.conversations import SCHEMAS, SHAPE, Ask, Call, CannotSay, Results, Said, Tokens, User
from tests.support.surfaces.base import DESCRIPTIONS, DROPPED, as_data_url, id_of, plain
from tests.support.surfaces.chat import refused

_ENDS = ("response.completed", "response.incomplete", "response.failed")


class ResponsesClient:
    surface = "responses"

    def __init__(self, address: str, key: str) -> None:
        self._sdk = openai.AsyncOpenAI(api_key=key, base_url=f"{address}/v1", max_retries=0)

    async def close(self) -> None:
        await self._sdk.close()

    async def ask(self, model: str, ask: Ask, *, stream: bool = False) -> Said:
        fields = _fields(model, ask)
        try:
            if not stream:
                raw = await self._sdk.responses.with_raw_response.create(**fields)
                return _said(raw.parse(), raw.headers.get(DROPPED, ""))
            raw = await self._sdk.responses.with_raw_response.create(**fields, stream=True)
            events = [event async for event in raw.parse()]
        except openai.APIStatusError as error:
            raise refused(error) from None
        said = _said(events[-1].response, raw.headers.get(DROPPED, ""))
        _agrees(events, said)
        return said


def _agrees(events: list[Any], said: Said) -> None:
    """What came piece by piece is what the last event tells as a whole."""
    assert events[-1].type in _ENDS
    assert [event.sequence_number for event in events] == list(range(len(events)))
    told = dict.fromkeys(("output_text", "refusal", "function_call_arguments", "reasoning_summary_text"), "")
    for event in events:
        kind = event.type.removeprefix("response.").removesuffix(".delta")
        if event.type.endswith(".delta"):
            told[kind] += event.delta
    assert told["output_text"] + told["refusal"] == said.text
    assert told["reasoning_summary_text"] == said.thought
    items = [event.item for event in events if event.type == "response.output_item.done"]
    assert [plain(item) for item in items] == [plain(item) for item in events[-1].response.output]


def _said(done: Response, dropped: str) -> Said:
    said = Said(stop=done.status, dropped=dropped, back=[])
    if done.incomplete_details is not None:
        said.stop = done.incomplete_details.reason
    for item in done.output:
        said.back.append(plain(item))
        if item.type == "message":
            for part in item.content:
                said.text += part.text if part.type == "output_text" else part.refusal
                said.stop = "refusal" if part.type == "refusal" else said.stop
        elif item.type == "function_call":
            said.calls.append(Call(item.name, json.loads(item.arguments), item.call_id))
        elif item.type == "reasoning":
            said.thought += "".join(part.text for part in item.summary)
            if item.encrypted_content:
                said.seals.append(item.encrypted_content)
    if (used := done.usage) is not None:
        cached = used.input_tokens_details.cached_tokens
        thought = used.output_tokens_details.reasoning_tokens
        said.usage = Tokens(used.input_tokens - cached, cached, used.output_tokens, thought)
    return said


def _fields(model: str, ask: Ask) -> dict[str, Any]:
    if ask.top_k is not None or ask.seed is not None or ask.stop:
        raise CannotSay
    fields: dict[str, Any] = {"model": model, "input": _input(ask), "max_output_tokens": 4_000, "store": False}
    if ask.system and not ask.mark:
        fields["instructions"] = ask.system
    if ask.tools:
        fields["tools"] = [
            {
                "type": "function",
                "name": name,
                "description": DESCRIPTIONS[name],
                "parameters": SCHEMAS[name],
                "strict": False,
            }
            for name in ask.tools
        ]
    if ask.forced:
        fields["tool_choice"] = {"type": "function", "name": ask.forced}
    if ask.shaped:
        fields["text"] = {"format": {"type": "json_schema", "name": "forecast", "schema": SHAPE, "strict": True}}
    if ask.thinking:
        fields |= {
            "reasoning": {"effort": "medium", "summary": "auto"},
            "include": ["reasoning.encrypted_content"],
        }
    if ask.logprobs:
        fields["top_logprobs"] = 2
    return fields


def _input(ask: Ask) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    if ask.mark:
        part = {"type": "input_text", "text": ask.system, "prompt_cache_breakpoint": {"mode": "explicit"}}
        items.append({"role": "developer", "content": [part]})
    calls: list[Call] = []
    for turn in ask.turns:
        if isinstance(turn, User):
            items.append({"role": "user", "content": _content(turn)})
        elif isinstance(turn, Results):
            for result in turn.of:
                output: Any = result.text
                if result.image:
                    output = [{"type": "input_text", "text": result.text}, _image(result.image)]
                items.append({"type": "function_call_output", "call_id": id_of(calls, result.name), "output": output})
        else:
            calls += turn.calls
            items += turn.back
    return items


def _content(turn: User) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = [{"type": "input_text", "text": turn.text}]
    for media in turn.media:
        if media.kind == "image":
            parts.append(_image(media.data))
        else:
            data = as_data_url("application/pdf", media.data)
            parts.append({"type": "input_file", "filename": "paper.pdf", "file_data": data})
    return parts


def _image(data: str) -> dict[str, Any]:
    return {"type": "input_image", "detail": "auto", "image_url": as_data_url("image/png", data)}
