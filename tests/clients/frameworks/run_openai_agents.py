"""OpenAI's Agents SDK, with its models for chat completions and responses. Its tracing stays off."""

from __future__ import annotations

from typing import Any

from agents import (
    Agent,
    Model,
    ModelSettings,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    function_tool,
    set_tracing_disabled,
)
from agents.result import RunResultBase
from openai import AsyncOpenAI
from serving import PROMPT, SHAPED, SYSTEM, Ask, Stay, Told, look_up, serve

set_tracing_disabled(True)


def agent_of(ask: Ask, **options: Any) -> Agent[None]:
    client = AsyncOpenAI(base_url=f"{ask.address}/v1", api_key=ask.key)
    kind = OpenAIResponsesModel if ask.surface == "responses" else OpenAIChatCompletionsModel
    model: Model = kind(ask.model, client)
    settings = ModelSettings(include_usage=True)
    return Agent(name="traveller", instructions=SYSTEM, model=model, model_settings=settings, **options)


def told_of(result: RunResultBase, text: str, pieces: int = 0) -> Told:
    usages = [response.usage for response in result.raw_responses]
    told = [(usage.input_tokens, usage.input_tokens_details.cached_tokens, usage.output_tokens) for usage in usages]
    return Told(text, told, pieces)


async def tools(ask: Ask) -> Told:
    result = await Runner.run(agent_of(ask, tools=[function_tool(look_up)]), PROMPT)
    return told_of(result, result.final_output)


async def streamed(ask: Ask) -> Told:
    result = Runner.run_streamed(agent_of(ask, tools=[function_tool(look_up)]), PROMPT)
    pieces = 0
    async for event in result.stream_events():
        pieces += event.type == "raw_response_event" and event.data.type == "response.output_text.delta"
    return told_of(result, result.final_output, pieces)


async def structured(ask: Ask) -> Told:
    result = await Runner.run(agent_of(ask, output_type=Stay), SHAPED)
    return told_of(result, result.final_output.model_dump_json())


if __name__ == "__main__":
    serve({"tools": tools, "streamed": streamed, "structured": structured})
