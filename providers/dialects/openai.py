"""What OpenAI's dialects share: the error envelope, usage, and the envelope of streams.

Source: https://platform.openai.com/docs/api-reference (errors, usage objects).
"""

from __future__ import annotations

import msgspec

from policies.types import Refusal, Usage
from providers.dialects.base import Headers, refusal_status

OPENAI_HEADERS = frozenset({"openai-beta"})
CHAT_MEDIA = (b'"image_url"', b'"input_audio"', b'"file_data"')
RESPONSES_MEDIA = (b'"input_image"', b'"input_audio"', b'"input_file"')
"""What stands in a body that holds media. Each is searched for in every body (``providers.dialects.marks``)."""

_TYPES = {
    "identity": "authentication_error",
    "permission": "permission_error",
    "budget": "insufficient_quota",
    "rate": "rate_limit_error",
    "request": "invalid_request_error",
    "unavailable": "api_error",
}


class _InputDetails(msgspec.Struct):
    cached_tokens: int | None = 0
    cache_write_tokens: int | None = 0
    audio_tokens: int | None = 0


class _OutputDetails(msgspec.Struct):
    reasoning_tokens: int | None = 0
    audio_tokens: int | None = 0


class ChatUsage(msgspec.Struct):
    """``usage`` of chat completions and embeddings. Cached and audio tokens are shares.

    Cached tokens stand beside the details at some vendors: DeepSeek
    (https://api-docs.deepseek.com/guides/kv_cache), Moonshot (https://platform.moonshot.ai/docs/api/chat)."""

    prompt_tokens: int | None = 0
    completion_tokens: int | None = 0
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None
    prompt_cache_hit_tokens: int | None = None
    cached_tokens: int | None = None

    def normal(self) -> Usage:
        inputs = self.prompt_tokens_details
        elsewhere = self.prompt_cache_hit_tokens or self.cached_tokens
        if elsewhere and not (inputs and inputs.cached_tokens):
            inputs = _InputDetails(cached_tokens=elsewhere)
        return _normal(self.prompt_tokens, self.completion_tokens, inputs, self.completion_tokens_details)


class ResponsesUsage(msgspec.Struct):
    """``usage`` of the responses API."""

    input_tokens: int | None = 0
    output_tokens: int | None = 0
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None

    def normal(self) -> Usage:
        return _normal(self.input_tokens, self.output_tokens, self.input_tokens_details, self.output_tokens_details)


def _normal(
    prompt: int | None, completion: int | None, inputs: _InputDetails | None, outputs: _OutputDetails | None
) -> Usage:
    """OpenAI counts cached tokens inside the prompt; the books keep them apart."""
    cached = (inputs.cached_tokens or 0) if inputs else 0
    written = (inputs.cache_write_tokens or 0) if inputs else 0
    return Usage(
        input_tokens=max(0, (prompt or 0) - cached - written),
        cache_read_tokens=cached,
        cache_write_tokens=written,
        output_tokens=completion or 0,
        reasoning_tokens=(outputs.reasoning_tokens or 0) if outputs else 0,
        input_audio_tokens=(inputs.audio_tokens or 0) if inputs else 0,
        output_audio_tokens=(outputs.audio_tokens or 0) if outputs else 0,
    )


def refusal_body(refusal: Refusal) -> tuple[int, Headers, bytes]:
    """``{"error": {message, type, param, code}}``, with the gate's facts in ``details``."""
    status, headers = refusal_status(refusal)
    error = {
        "message": refusal.message,
        "type": _TYPES[refusal.kind],
        "param": "model" if refusal.code in ("missing_model", "model_not_allowed") else refusal.details.get("field"),
        "code": refusal.code,
    }
    if refusal.details:
        error["details"] = dict(refusal.details)
    return status, headers, msgspec.json.encode({"error": error})


def chat_error_event(code: str, message: str) -> bytes:
    """An error inside a chat stream: OpenAI sends an ``error`` object as data and ends."""
    body = msgspec.json.encode({"error": {"message": message, "type": "api_error", "param": None, "code": code}})
    return b"data: " + body + b"\n\n"
