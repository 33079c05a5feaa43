"""OpenAI responses (https://platform.openai.com/docs/api-reference/responses).

Streams are typed events; the last one (``response.completed``, ``.incomplete`` or ``.failed``) holds
the whole response with its usage. Codex speaks only this dialect.
"""

from __future__ import annotations

import msgspec

from policies.strict_json import strict_object
from policies.types import Refusal
from providers.dialects.base import (
    Headers,
    ModelRequest,
    Reading,
    boolean,
    estimate_tokens,
    required_model,
    whole_number,
)
from providers.dialects.forwarding import ForwardingReader
from providers.dialects.openai import OPENAI_HEADERS, RESPONSES_MEDIA, ResponsesUsage, refusal_body
from providers.dialects.sse import data_of
from providers.services import ProviderKind, Service

_DECISIVE = frozenset({"model", "stream", "max_output_tokens", "input", "background"})
_ENVELOPE_BYTES = 160
_TERMINAL = frozenset({"response.completed", "response.incomplete", "response.failed"})


class _Item(msgspec.Struct):
    call_id: str | None = None


class _Response(msgspec.Struct):
    output: list[_Item] = []
    usage: ResponsesUsage | None = None
    status: str | None = None


class _Event(msgspec.Struct):
    type: str = ""
    item: _Item | None = None
    response: _Response | None = None


_response = msgspec.json.Decoder(_Response).decode
_event = msgspec.json.Decoder(_Event).decode


class OpenAIResponses:
    """``POST /responses``."""

    surface = "openai_responses"
    operation = "responses"
    service: Service = "openai/responses"
    kind: ProviderKind = "openai"
    path = "/responses"
    decisive_headers = OPENAI_HEADERS

    def parse(self, body: bytes) -> ModelRequest:
        fields = strict_object(body, _DECISIVE)
        estimated, most = estimate_tokens(body, RESPONSES_MEDIA)
        return ModelRequest(
            model=required_model(fields),
            body=fields,
            stream=boolean(fields, "stream"),
            input_tokens=estimated,
            max_input_tokens=most,
            max_output_tokens=whole_number(fields, "max_output_tokens"),
        )

    def upstream_path(self, model: str) -> str:
        return self.path

    def upstream_body(self, request: ModelRequest, model: str) -> bytes:
        if model == request.model:
            return request.body.body
        return request.body.replace("model", msgspec.json.encode(model))

    def read(self, body: bytes) -> Reading | None:
        try:
            return _reading(_response(body))
        except msgspec.MsgspecError:
            return None

    def stream_reader(self, request: ModelRequest) -> ResponsesStreamReader:
        return ResponsesStreamReader()

    def refusal_body(self, refusal: Refusal) -> tuple[int, Headers, bytes]:
        return refusal_body(refusal)

    def error_event(self, code: str, message: str) -> bytes:
        body = msgspec.json.encode({"type": "error", "code": code, "message": message, "param": None})
        return b"event: error\ndata: " + body + b"\n\n"


def _reading(response: _Response) -> Reading:
    return Reading(
        usage=response.usage.normal() if response.usage else None,
        tool_use_ids=tuple(item.call_id for item in response.output if item.call_id),
        stop_reason=response.status,
    )


class ResponsesStreamReader(ForwardingReader):
    """Reads usage and call ids from a stream of responses events; forwards every byte as it came."""

    __slots__ = ()

    def _read(self, event: bytes) -> None:
        find = event.find  # ``in`` would ask whether the bytes are a number first
        if find(b".delta") >= 0:
            self.content_bytes += max(1, len(event) - _ENVELOPE_BYTES)
            return
        if find(b'"response"') < 0 and find(b'"call_id"') < 0:
            return
        try:
            said = _event(data_of(event))
        except msgspec.MsgspecError:
            return
        if said.type == "response.output_item.added" and said.item is not None and said.item.call_id:
            self._tool_uses.append(said.item.call_id)
        if said.type in _TERMINAL and said.response is not None:
            reading = _reading(said.response)
            self.usage = reading.usage or self.usage
            self.stop_reason = reading.stop_reason
            self.ended = True
