"""OpenAI embeddings (https://platform.openai.com/docs/api-reference/embeddings)."""

from __future__ import annotations

import msgspec

from policies.strict_json import strict_object
from policies.types import Refusal
from providers.dialects.base import Headers, ModelRequest, Reading, StreamReader, estimate_tokens, required_model
from providers.dialects.openai import OPENAI_HEADERS, ChatUsage, chat_error_event, refusal_body
from providers.dialects.openai_chat import ChatStreamReader
from providers.services import ProviderKind, Service

_DECISIVE = frozenset({"model", "input"})


class _Embeddings(msgspec.Struct):
    usage: ChatUsage | None = None


_embeddings = msgspec.json.Decoder(_Embeddings).decode


class OpenAIEmbeddings:
    """``POST /embeddings``."""

    surface = "openai_embeddings"
    operation = "embeddings"
    service: Service = "openai/embeddings"
    kind: ProviderKind = "openai"
    path = "/embeddings"
    decisive_headers = OPENAI_HEADERS

    def parse(self, body: bytes) -> ModelRequest:
        fields = strict_object(body, _DECISIVE)
        estimated, most = estimate_tokens(body, ())
        return ModelRequest(
            model=required_model(fields),
            body=fields,
            stream=False,
            input_tokens=estimated,
            max_input_tokens=most,
        )

    def upstream_path(self, model: str) -> str:
        return self.path

    def upstream_body(self, request: ModelRequest, model: str) -> bytes:
        if model == request.model:
            return request.body.body
        return request.body.replace("model", msgspec.json.encode(model))

    def read(self, body: bytes) -> Reading | None:
        try:
            answer = _embeddings(body)
        except msgspec.MsgspecError:
            return None
        return Reading(usage=answer.usage.normal() if answer.usage else None)

    def stream_reader(self, request: ModelRequest) -> StreamReader:
        return ChatStreamReader(hide_usage=False)

    def refusal_body(self, refusal: Refusal) -> tuple[int, Headers, bytes]:
        return refusal_body(refusal)

    def error_event(self, code: str, message: str) -> bytes:
        return chat_error_event(code, message)
