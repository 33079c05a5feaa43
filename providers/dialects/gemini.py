"""Gemini: generateContent, streamGenerateContent, countTokens, embedContent and batchEmbedContents
(https://ai.google.dev/api/generate-content, …/tokens, …/embeddings).

The model and the method stand in the path, so that a dialect is made for each request. Every chunk of a stream carries
the usage so far; the last one has a finish reason, and nothing follows it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote

import msgspec

from policies.strict_json import BodyError, StrictObject, strict_object
from policies.types import Refusal, Usage
from providers.addresses import path_name
from providers.dialects.base import Headers, ModelRequest, Reading, estimate_tokens, refusal_status
from providers.dialects.forwarding import ForwardingReader
from providers.dialects.sse import data_of
from providers.services import ProviderKind, Service

METHODS: Mapping[str, str] = {
    "generateContent": "generate",
    "streamGenerateContent": "generate",
    "countTokens": "count_tokens",
    "embedContent": "embed",
    "batchEmbedContents": "embed",
}
"""Operation by method; others are not spoken."""
_SERVICES: Mapping[str, Service] = {
    "generate": "gemini/generate",
    "count_tokens": "gemini/count_tokens",
    "embed": "gemini/embed",
}
PATH = re.compile(r"/(v1|v1beta)/models/(.+):([A-Za-z]+)")
"""The method stands behind the last colon: names of Bedrock and Ollama have colons of their own."""
_DECISIVE = frozenset(
    {"contents", "generationConfig", "generation_config", "systemInstruction", "tools", "requests", "content"}
)
_MEDIA_MARKS = (b'"inlineData"', b'"inline_data"', b'"fileData"', b'"file_data"')
_ENVELOPE_BYTES = 220

_STATUS_NAMES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    402: "RESOURCE_EXHAUSTED",
    403: "PERMISSION_DENIED",
    413: "INVALID_ARGUMENT",
    415: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
}


class UsageMetadata(msgspec.Struct, rename="camel"):
    prompt_token_count: int | None = 0
    cached_content_token_count: int | None = 0
    candidates_token_count: int | None = 0
    thoughts_token_count: int | None = 0
    tool_use_prompt_token_count: int | None = 0

    def normal(self) -> Usage:
        """Cached tokens stand inside the prompt, thoughts beside the answer."""
        cached = self.cached_content_token_count or 0
        thoughts = self.thoughts_token_count or 0
        return Usage(
            input_tokens=max(0, (self.prompt_token_count or 0) - cached) + (self.tool_use_prompt_token_count or 0),
            cache_read_tokens=cached,
            output_tokens=(self.candidates_token_count or 0) + thoughts,
            reasoning_tokens=thoughts,
        )


class _FunctionCall(msgspec.Struct):
    id: str | None = None


class _Part(msgspec.Struct, rename="camel"):
    function_call: _FunctionCall | None = None


class _Content(msgspec.Struct):
    parts: list[_Part] = []


class _Candidate(msgspec.Struct, rename="camel"):
    content: _Content | None = None
    finish_reason: str | None = None


class _Feedback(msgspec.Struct, rename="camel"):
    block_reason: str | None = None


class _Answer(msgspec.Struct, rename="camel"):
    candidates: list[_Candidate] = []
    usage_metadata: UsageMetadata | None = None
    prompt_feedback: _Feedback | None = None

    @property
    def stop_reason(self) -> str | None:
        found = next((c.finish_reason for c in self.candidates if c.finish_reason), None)
        return found or (self.prompt_feedback.block_reason if self.prompt_feedback else None)

    @property
    def tool_use_ids(self) -> tuple[str, ...]:
        parts = (part for c in self.candidates if c.content for part in c.content.parts)
        return tuple(p.function_call.id for p in parts if p.function_call and p.function_call.id)


class _Config(msgspec.Struct, rename="camel"):
    max_output_tokens: int | None = None
    candidate_count: int | None = None


_answer = msgspec.json.Decoder(_Answer).decode
_answers = msgspec.json.Decoder(list[_Answer]).decode
_config = msgspec.json.Decoder(_Config).decode


class Gemini:
    """One method of one model. ``model`` is the caller's name of it. Raises ``BodyError`` for a name that could lead
    elsewhere in the upstream's paths."""

    surface = "gemini"
    kind: ProviderKind = "gemini"
    decisive_headers: frozenset[str] = frozenset()

    def __init__(self, version: str, model: str, method: str) -> None:
        self._version = version
        self._model = model
        self._method = method
        self.operation = METHODS[method]
        self.service: Service = _SERVICES[self.operation]

    def upstream_path(self, model: str) -> str:
        return f"/{self._version}/models/{quote(model, safe='/@')}:{self._method}"

    def parse(self, body: bytes) -> ModelRequest:
        path_name(self._model)
        fields = strict_object(body, _DECISIVE)
        estimated, most = (0, 0) if self.operation == "count_tokens" else estimate_tokens(body, _MEDIA_MARKS)
        return ModelRequest(
            model=self._model,
            body=fields,
            stream=self._method == "streamGenerateContent",
            input_tokens=estimated,
            max_input_tokens=most,
            max_output_tokens=_limit(fields) if self.operation == "generate" else 0,
        )

    def upstream_body(self, request: ModelRequest, model: str) -> bytes:
        return request.body.body

    def read(self, body: bytes) -> Reading | None:
        """A complete answer, or the array that a stream without ``alt=sse`` is."""
        try:
            answers = _answers(body) if body[:1] == b"[" else [_answer(body)]
        except msgspec.MsgspecError:
            return None
        usages = [answer.usage_metadata for answer in answers if answer.usage_metadata]
        return Reading(
            usage=usages[-1].normal() if usages else None,
            tool_use_ids=tuple(i for answer in answers for i in answer.tool_use_ids),
            stop_reason=next((a.stop_reason for a in reversed(answers) if a.stop_reason), None),
        )

    def stream_reader(self, request: ModelRequest) -> GeminiStreamReader:
        return GeminiStreamReader()

    def refusal_body(self, refusal: Refusal) -> tuple[int, Headers, bytes]:
        """``{"error": {code, message, status, details}}`` (https://google.aip.dev/193)."""
        status, headers = refusal_status(refusal)
        facts = {name: str(value) for name, value in refusal.details.items()}
        info = {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": refusal.code,
            "domain": "tollkeeper",
            "metadata": facts,
        }
        name = _STATUS_NAMES.get(status, "UNKNOWN")
        error = {"code": status, "message": refusal.message, "status": name, "details": [info]}
        return status, headers, msgspec.json.encode({"error": error})

    def error_event(self, code: str, message: str) -> bytes:
        error = {"code": 503, "message": message, "status": "UNAVAILABLE", "details": [{"reason": code}]}
        return b"data: " + msgspec.json.encode({"error": error}) + b"\r\n\r\n"


class GeminiStreamReader(ForwardingReader):
    """Reads usage, calls and the finish reason; forwards every byte as it came."""

    __slots__ = ()

    def finish(self) -> bytes:
        if self._cutter.pending.strip():
            self._read(self._cutter.pending)  # the last event need not be followed by a blank line
        return b""

    def _read(self, event: bytes) -> None:
        self.content_bytes += max(1, len(event) - _ENVELOPE_BYTES)
        try:
            answer = _answer(data_of(event))
        except msgspec.MsgspecError:
            return
        if answer.usage_metadata is not None:
            self.usage = answer.usage_metadata.normal()
        self._tool_uses += answer.tool_use_ids
        if answer.stop_reason is not None:
            self.stop_reason, self.ended = answer.stop_reason, True


def _limit(fields: StrictObject) -> int | None:
    """Output tokens that the request allows, over all candidates. Raises ``BodyError``."""
    raw = fields.get("generationConfig", fields.get("generation_config"))
    if raw is None or bytes(raw) == b"null":
        return None
    text = bytes(raw).replace(b'"max_output_tokens"', b'"maxOutputTokens"')
    try:
        config = _config(text.replace(b'"candidate_count"', b'"candidateCount"'))
    except msgspec.MsgspecError:
        raise BodyError("invalid_request", "'generationConfig' must be an object, its limits whole numbers") from None
    if config.max_output_tokens is None:
        return None
    return max(0, config.max_output_tokens) * max(1, config.candidate_count or 1)
