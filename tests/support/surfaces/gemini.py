"""Google's SDK, generateContent."""

from __future__ import annotations

import base64
from typing import Any

from google import genai
from google.genai import errors, types

from tests.support.conversations import SCHEMAS, SHAPE, Ask, Call, CannotSay, Refused, Results, Said, Tokens, User
from tests.support.surfaces.base import DESCRIPTIONS, DROPPED, id_of

_NOT_BY_ITSELF = types.AutomaticFunctionCallingConfig(disable=True)


class GeminiClient:
    surface = "gemini"

    def __init__(self, address: str, key: str) -> None:
        self._sdk = genai.Client(api_key=key, http_options=types.HttpOptions(base_url=f"{address}/genai"))

    async def close(self) -> None:
        await self._sdk.aio.aclose()
        self._sdk.close()

    async def ask(self, model: str, ask: Ask, *, stream: bool = False) -> Said:
        fields: dict[str, Any] = {"model": model, "contents": _contents(ask), "config": _config(ask)}
        models = self._sdk.aio.models
        try:
            if stream:
                chunks = [chunk async for chunk in await models.generate_content_stream(**fields)]
            else:
                chunks = [await models.generate_content(**fields)]
        except errors.APIError as error:
            raise _refused(error) from None
        return _said(chunks)


def _refused(error: errors.APIError) -> Refused:
    told = error.details.get("error", {}) if isinstance(error.details, dict) else {}
    reasons = [detail.get("reason", "") for detail in told.get("details", ())]
    return Refused(error.code, error.message or "", reasons[0] if reasons else error.status or "")


def _said(chunks: list[types.GenerateContentResponse]) -> Said:
    """The parts of all chunks, handed back as they came: so does every program that streams."""
    said = Said()
    parts: list[types.Part] = []
    for chunk in chunks:
        if chunk.sdk_http_response is not None:
            headers = chunk.sdk_http_response.headers or {}
            said.dropped = headers.get(DROPPED, said.dropped)
        candidate = (chunk.candidates or [None])[0]
        if candidate is not None and candidate.content is not None:
            parts += candidate.content.parts or []
            said.stop = candidate.finish_reason.value if candidate.finish_reason else said.stop
        if chunk.usage_metadata is not None:
            used = chunk.usage_metadata
            cached, thought = used.cached_content_token_count or 0, used.thoughts_token_count or 0
            output = (used.candidates_token_count or 0) + thought
            said.usage = Tokens((used.prompt_token_count or 0) - cached, cached, output, thought)
    for part in parts:
        if part.thought:
            said.thought += part.text or ""
        elif part.text:
            said.text += part.text
        if part.function_call is not None:
            call = part.function_call
            said.calls.append(Call(call.name or "", dict(call.args or {}), call.id or ""))
        if part.thought_signature is not None:
            said.seals.append(base64.b64encode(part.thought_signature).decode())
    said.back = types.Content(role="model", parts=parts)
    return said


def _config(ask: Ask) -> types.GenerateContentConfig:
    if ask.mark:
        raise CannotSay
    fields: dict[str, Any] = {"max_output_tokens": 4_000, "automatic_function_calling": _NOT_BY_ITSELF}
    if ask.system:
        fields["system_instruction"] = ask.system
    if ask.tools:
        declared = [
            types.FunctionDeclaration(name=n, description=DESCRIPTIONS[n], parameters_json_schema=SCHEMAS[n])
            for n in ask.tools
        ]
        fields["tools"] = [types.Tool(function_declarations=declared)]
    if ask.forced:
        calling = types.FunctionCallingConfig(
            mode=types.FunctionCallingConfigMode.ANY, allowed_function_names=[ask.forced]
        )
        fields["tool_config"] = types.ToolConfig(function_calling_config=calling)
    if ask.shaped:
        fields |= {"response_mime_type": "application/json", "response_json_schema": SHAPE}
    if ask.thinking:
        fields["thinking_config"] = types.ThinkingConfig(include_thoughts=True, thinking_budget=2_000)
    if ask.stop:
        fields["stop_sequences"] = list(ask.stop)
    if ask.logprobs:
        fields["response_logprobs"] = True
    return types.GenerateContentConfig(**fields, top_k=ask.top_k, seed=ask.seed)


def _contents(ask: Ask) -> list[types.Content]:
    contents: list[types.Content] = []
    calls: list[Call] = []
    for turn in ask.turns:
        if isinstance(turn, User):
            contents.append(types.Content(role="user", parts=[types.Part(text=turn.text), *_media(turn)]))
        elif isinstance(turn, Results):
            contents.append(types.Content(role="user", parts=_results(turn, calls)))
        else:
            calls += turn.calls
            contents.append(turn.back)
    return contents


def _media(turn: User) -> list[types.Part]:
    mimes = {"image": "image/png", "document": "application/pdf"}
    return [types.Part.from_bytes(data=base64.b64decode(m.data), mime_type=mimes[m.kind]) for m in turn.media]


def _results(turn: Results, calls: list[Call]) -> list[types.Part]:
    parts = []
    for result in turn.of:
        response = types.FunctionResponse(
            name=result.name, response={"error" if result.failed else "output": result.text}
        )
        if call_id := id_of(calls, result.name):
            response.id = call_id
        if result.image:
            blob = types.FunctionResponseBlob(mime_type="image/png", data=base64.b64decode(result.image))
            response.parts = [types.FunctionResponsePart(inline_data=blob)]
        parts.append(types.Part(function_response=response))
    return parts
