"""Anthropic messages and token counting (https://docs.anthropic.com/en/api/messages, …/messages-streaming).

``message_start`` carries input and cache usage; ``message_delta`` carries cumulative output (and may
repeat the input, corrected). ``input_tokens`` excludes cached tokens.
"""

from __future__ import annotations

import re

import msgspec

from policies.strict_json import strict_object
from policies.types import Refusal, Usage
from providers.dialects.base import (
    Headers,
    ModelRequest,
    Reading,
    boolean,
    estimate_tokens,
    refusal_status,
    required_model,
    whole_number,
)
from providers.dialects.forwarding import ForwardingReader
from providers.dialects.sse import data_of
from providers.services import ProviderKind, Service

BILLING = re.compile(r"x-anthropic-billing-header:(?: ?[A-Za-z_]+=[^;\s]*;)+\s*")
"""Claude Code writes its version and a digest of the first message into a block of the system prompt, for the vendor's
bill: it changes, the answer does not. Nothing else may stand in that block."""
_DECISIVE = frozenset({"model", "stream", "max_tokens", "messages", "system", "tools"})
_MEDIA_MARKS = (b'"base64"', b'"image"', b'"document"')
_ENVELOPE_BYTES = 130

_TYPES = {
    "identity": "authentication_error",
    "permission": "permission_error",
    "budget": "billing_error",
    "rate": "rate_limit_error",
    "request": "invalid_request_error",
    "unavailable": "api_error",
}


class _CacheCreation(msgspec.Struct):
    ephemeral_1h_input_tokens: int | None = 0


class _OutputDetails(msgspec.Struct):
    thinking_tokens: int | None = None


class WireUsage(msgspec.Struct):
    input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_creation: _CacheCreation | None = None
    output_tokens: int | None = None
    output_tokens_details: _OutputDetails | None = None


class _Block(msgspec.Struct):
    type: str = ""
    id: str | None = None


class _Delta(msgspec.Struct):
    stop_reason: str | None = None


class _Message(msgspec.Struct):
    content: list[_Block] = []
    stop_reason: str | None = None
    usage: WireUsage | None = None


class _Event(msgspec.Struct):
    type: str = ""
    message: _Message | None = None
    content_block: _Block | None = None
    delta: _Delta | None = None
    usage: WireUsage | None = None


_message = msgspec.json.Decoder(_Message).decode
_event = msgspec.json.Decoder(_Event).decode

_TOOL_BLOCKS = frozenset({"tool_use", "mcp_tool_use"})


class AnthropicMessages:
    """``POST /v1/messages``."""

    surface = "anthropic"
    operation = "messages"
    service: Service = "anthropic/messages"
    kind: ProviderKind = "anthropic"
    path = "/v1/messages"
    decisive_headers = frozenset({"anthropic-beta", "anthropic-version"})

    def parse(self, body: bytes) -> ModelRequest:
        fields = strict_object(body, _DECISIVE)
        estimated, most = estimate_tokens(body, _MEDIA_MARKS)
        return ModelRequest(
            model=required_model(fields),
            body=fields,
            stream=boolean(fields, "stream"),
            input_tokens=estimated,
            max_input_tokens=most,
            max_output_tokens=whole_number(fields, "max_tokens"),
        )

    def upstream_path(self, model: str) -> str:
        return self.path

    def upstream_body(self, request: ModelRequest, model: str) -> bytes:
        if model == request.model:
            return request.body.body
        return request.body.replace("model", msgspec.json.encode(model))

    def read(self, body: bytes) -> Reading | None:
        try:
            message = _message(body)
        except msgspec.MsgspecError:
            return None
        return Reading(
            usage=merged_usage(None, message.usage) if message.usage else None,
            tool_use_ids=tuple(b.id for b in message.content if b.type in _TOOL_BLOCKS and b.id),
            stop_reason=message.stop_reason,
        )

    def stream_reader(self, request: ModelRequest) -> MessagesStreamReader:
        return MessagesStreamReader()

    def refusal_body(self, refusal: Refusal) -> tuple[int, Headers, bytes]:
        status, headers = refusal_status(refusal)
        error = {"type": _TYPES[refusal.kind], "message": refusal.message, "code": refusal.code}
        if refusal.details:
            error["details"] = dict(refusal.details)  # type: ignore[assignment]
        return status, headers, msgspec.json.encode({"type": "error", "error": error})

    def error_event(self, code: str, message: str) -> bytes:
        error = {"type": "api_error", "message": message, "code": code}
        return b"event: error\ndata: " + msgspec.json.encode({"type": "error", "error": error}) + b"\n\n"


class AnthropicCountTokens(AnthropicMessages):
    """``POST /v1/messages/count_tokens``: free of charge, with a limit of its own."""

    operation = "count_tokens"
    service: Service = "anthropic/count_tokens"
    path = "/v1/messages/count_tokens"

    def parse(self, body: bytes) -> ModelRequest:
        fields = strict_object(body, _DECISIVE)
        return ModelRequest(model=required_model(fields), body=fields, stream=False, input_tokens=0)

    def read(self, body: bytes) -> Reading | None:
        try:
            _message(body)
        except msgspec.MsgspecError:
            return None
        return Reading()


def merged_usage(known: Usage | None, said: WireUsage) -> Usage:
    """Usage after an event: what the event leaves out stays as it was."""
    base = known or Usage()
    created = said.cache_creation_input_tokens
    hour = (said.cache_creation.ephemeral_1h_input_tokens or 0) if said.cache_creation else None
    if hour is None:
        hour = base.cache_write_1h_tokens
    written = base.cache_write_tokens if created is None else max(0, created - hour)
    thought = said.output_tokens_details.thinking_tokens if said.output_tokens_details else None
    return Usage(
        input_tokens=base.input_tokens if said.input_tokens is None else said.input_tokens,
        cache_read_tokens=(
            base.cache_read_tokens if said.cache_read_input_tokens is None else said.cache_read_input_tokens
        ),
        cache_write_tokens=written,
        cache_write_1h_tokens=hour,
        output_tokens=base.output_tokens if said.output_tokens is None else said.output_tokens,
        reasoning_tokens=base.reasoning_tokens if thought is None else thought,
    )


class MessagesStreamReader(ForwardingReader):
    """Reads usage and tool-use ids from a messages stream; forwards every byte as it came."""

    __slots__ = ()

    def _read(self, event: bytes) -> None:
        find = event.find  # ``in`` would ask whether the bytes are a number first
        if find(b"content_block_delta") >= 0 and find(b'"usage"') < 0:
            self.content_bytes += max(1, len(event) - _ENVELOPE_BYTES)
            return
        if find(b"message_") < 0 and find(b"tool_use") < 0:
            return
        try:
            said = _event(data_of(event))
        except msgspec.MsgspecError:
            return
        if said.type == "message_start" and said.message is not None and said.message.usage is not None:
            self.usage = merged_usage(self.usage, said.message.usage)
        elif said.type == "message_delta":
            if said.usage is not None:
                self.usage = merged_usage(self.usage, said.usage)
            if said.delta is not None:
                self.stop_reason = said.delta.stop_reason or self.stop_reason
        elif said.type == "content_block_start" and said.content_block is not None:
            if said.content_block.type in _TOOL_BLOCKS and said.content_block.id:
                self._tool_uses.append(said.content_block.id)
        elif said.type == "message_stop":
            self.ended = True
