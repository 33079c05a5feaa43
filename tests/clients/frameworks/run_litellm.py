"""LiteLLM as a client SDK: its own loop of tool calls, in the words of every surface."""

from __future__ import annotations

import json
from typing import Any

import litellm
from serving import PROMPT, SHAPED, SYSTEM, Ask, Stay, Told, look_up, serve

PLACES = {"responses": "/v1", "chat": "/v1", "anthropic": "/anthropic", "gemini": "/genai/v1beta"}
NAMES = {"responses": "openai/responses", "chat": "openai", "anthropic": "anthropic", "gemini": "gemini"}
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "look_up",
            "description": "Tells how warm it is in a city.",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
]
litellm.telemetry = False
litellm.suppress_debug_info = True


def named(ask: Ask) -> str:
    """The model's name, about which it is told what it cannot look up."""
    name = f"{NAMES[ask.surface]}/{ask.model}"
    abilities = {"supports_system_messages": True, "supports_response_schema": True}
    known = {"mode": "chat", "litellm_provider": name.partition("/")[0], "supports_function_calling": True, **abilities}
    litellm.register_model({name: known})
    return name


async def completion(ask: Ask, messages: list[Any], **options: Any) -> Any:
    return await litellm.acompletion(
        model=named(ask),
        api_base=ask.address + PLACES[ask.surface],
        api_key=ask.key,
        messages=messages,
        max_retries=0,
        **options,
    )


async def one_stream(ask: Ask, messages: list[Any], **options: Any) -> tuple[Any, int]:
    chunks = await completion(ask, messages, stream=True, stream_options={"include_usage": True}, **options)
    read = [chunk async for chunk in chunks]
    pieces = sum(bool(chunk.choices and chunk.choices[0].delta.content) for chunk in read)
    return litellm.stream_chunk_builder(read, messages=messages), pieces


def usage_of(answer: Any) -> tuple[int, int, int]:
    details = answer.usage.prompt_tokens_details
    cached = details.cached_tokens if details is not None else 0
    return answer.usage.prompt_tokens, cached or 0, answer.usage.completion_tokens


async def _loop(ask: Ask, *, stream: bool) -> Told:
    messages: list[Any] = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": PROMPT}]
    usage: list[tuple[int, int, int]] = []
    pieces = 0
    while True:
        if stream:
            answer, pieces = await one_stream(ask, messages, tools=TOOLS)
        else:
            answer = await completion(ask, messages, tools=TOOLS)
        usage.append(usage_of(answer))
        said = answer.choices[0].message
        if not said.tool_calls:
            return Told(said.content, usage, pieces)
        messages.append(said)
        for call in said.tool_calls:
            content = look_up(**json.loads(call.function.arguments))
            messages.append({"role": "tool", "tool_call_id": call.id, "content": content})


async def tools(ask: Ask) -> Told:
    return await _loop(ask, stream=False)


async def streamed(ask: Ask) -> Told:
    return await _loop(ask, stream=True)


async def structured(ask: Ask) -> Told:
    answer = await completion(ask, [{"role": "user", "content": SHAPED}], response_format=Stay)
    return Told(Stay.model_validate_json(answer.choices[0].message.content).model_dump_json(), [usage_of(answer)])


if __name__ == "__main__":
    serve({"tools": tools, "streamed": streamed, "structured": structured})
