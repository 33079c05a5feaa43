"""LangChain's agents, with its packages for OpenAI, Anthropic and Google."""

from __future__ import annotations

from typing import Any

from langchain.agents import create_agent
from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_google_genai import ChatGoogleGenerativeAI
from langchain_openai import ChatOpenAI
from serving import PROMPT, SHAPED, SYSTEM, Ask, Stay, Told, look_up, serve


def model_of(ask: Ask) -> BaseChatModel:
    if ask.surface == "anthropic":
        return ChatAnthropic(model=ask.model, base_url=f"{ask.address}/anthropic", api_key=ask.key)
    if ask.surface == "gemini":
        return ChatGoogleGenerativeAI(model=ask.model, base_url=f"{ask.address}/genai", api_key=ask.key)
    return ChatOpenAI(
        model=ask.model,
        base_url=f"{ask.address}/v1",
        api_key=ask.key,
        stream_usage=True,
        use_responses_api=ask.surface == "responses",
    )


def usage_of(message: AIMessage) -> tuple[int, int, int]:
    usage = message.usage_metadata
    assert usage is not None
    cached = usage.get("input_token_details", {}).get("cache_read", 0)
    return usage["input_tokens"], cached or 0, usage["output_tokens"]


def told_of(messages: list[Any], pieces: int = 0) -> Told:
    said = [message for message in messages if isinstance(message, AIMessage)]
    return Told(said[-1].text, [usage_of(message) for message in said], pieces)


async def tools(ask: Ask) -> Told:
    agent = create_agent(model_of(ask), [look_up], system_prompt=SYSTEM)
    state = await agent.ainvoke({"messages": [{"role": "user", "content": PROMPT}]})
    return told_of(state["messages"])


async def streamed(ask: Ask) -> Told:
    agent = create_agent(model_of(ask), [look_up], system_prompt=SYSTEM)
    asked = {"messages": [{"role": "user", "content": PROMPT}]}
    pieces, messages = 0, []
    async for mode, data in agent.astream(asked, stream_mode=["messages", "values"]):
        if mode == "values":
            messages = data["messages"]
        else:
            pieces += isinstance(data[0], AIMessageChunk) and bool(data[0].text)
    return told_of(messages, pieces)


async def _structured(ask: Ask, method: str) -> Told:
    chain = model_of(ask).with_structured_output(Stay, method=method, include_raw=True)
    found = await chain.ainvoke(SHAPED)
    if found["parsing_error"] is not None:
        raise found["parsing_error"]
    return Told(found["parsed"].model_dump_json(), [usage_of(found["raw"])])


async def structured(ask: Ask) -> Told:
    return await _structured(ask, "json_schema")


async def by_tool(ask: Ask) -> Told:
    return await _structured(ask, "function_calling")


if __name__ == "__main__":
    serve({"tools": tools, "streamed": streamed, "structured": structured, "by_tool": by_tool})
