"""Pydantic AI's agents, with its models for OpenAI (both APIs), Anthropic and Google."""

from __future__ import annotations

from typing import Any

from pydantic_ai import Agent, AgentRunResultEvent, NativeOutput, ToolOutput
from pydantic_ai.messages import ModelMessage, ModelResponse, PartDeltaEvent, TextPartDelta
from pydantic_ai.models import Model
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.google import GoogleModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.profiles import ModelProfile
from pydantic_ai.profiles.openai import OpenAIModelProfile
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.google import GoogleProvider
from pydantic_ai.providers.openai import OpenAIProvider
from serving import PROMPT, SHAPED, SYSTEM, Ask, Stay, Told, look_up, serve


def model_of(ask: Ask) -> Model:
    """What it cannot know of a model by its name is said in a profile: that it takes a form for its answer, and that
    its sealed thoughts are to be handed back."""
    if ask.surface == "anthropic":
        claude = AnthropicProvider(base_url=f"{ask.address}/anthropic", api_key=ask.key)
        return AnthropicModel(ask.model, provider=claude, profile=ModelProfile(supports_json_schema_output=True))
    if ask.surface == "gemini":
        return GoogleModel(ask.model, provider=GoogleProvider(base_url=f"{ask.address}/genai", api_key=ask.key))
    openai = OpenAIProvider(base_url=f"{ask.address}/v1", api_key=ask.key)
    if ask.surface == "chat":
        return OpenAIChatModel(ask.model, provider=openai)
    profile = OpenAIModelProfile(openai_supports_encrypted_reasoning_content=True)
    return OpenAIResponsesModel(ask.model, provider=openai, profile=profile)


def told_of(text: str, messages: list[ModelMessage], pieces: int = 0) -> Told:
    said = [message.usage for message in messages if isinstance(message, ModelResponse)]
    return Told(text, [(usage.input_tokens, usage.cache_read_tokens, usage.output_tokens) for usage in said], pieces)


async def tools(ask: Ask) -> Told:
    result = await Agent(model_of(ask), tools=[look_up], instructions=SYSTEM).run(PROMPT)
    return told_of(result.output, result.all_messages())


async def streamed(ask: Ask) -> Told:
    agent = Agent(model_of(ask), tools=[look_up], instructions=SYSTEM)
    pieces = 0
    async with agent.run_stream_events(PROMPT) as events:
        async for event in events:
            pieces += isinstance(event, PartDeltaEvent) and isinstance(event.delta, TextPartDelta)
            if isinstance(event, AgentRunResultEvent):
                return told_of(event.result.output, event.result.all_messages(), pieces)
    raise RuntimeError("the run has no result")


async def _structured(ask: Ask, output: Any) -> Told:
    result = await Agent(model_of(ask), output_type=output, instructions=SYSTEM).run(SHAPED)
    return told_of(result.output.model_dump_json(), result.all_messages())


async def structured(ask: Ask) -> Told:
    return await _structured(ask, NativeOutput(Stay))


async def by_tool(ask: Ask) -> Told:
    return await _structured(ask, ToolOutput(Stay, name="Stay"))


if __name__ == "__main__":
    serve({"tools": tools, "streamed": streamed, "structured": structured, "by_tool": by_tool})
