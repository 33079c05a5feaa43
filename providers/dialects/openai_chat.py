"""OpenAI chat completions (https://platform.openai.com/docs/api-reference/chat).

A stream carries usage only when asked (``stream_options.include_usage``). The gate asks for it when
the client did not, and takes the extra chunk out again: the one with an empty ``choices``.
"""

from __future__ import annotations

import msgspec

from policies.strict_json import BodyError, StrictObject, strict_object
from policies.types import Refusal, Usage
from providers.dialects.base import (
    Headers,
    ModelRequest,
    Reading,
    boolean,
    estimate_tokens,
    required_model,
    whole_number,
)
from providers.dialects.openai import CHAT_MEDIA, OPENAI_HEADERS, ChatUsage, chat_error_event, refusal_body
from providers.dialects.sse import EventCutter, data_of
from providers.services import ProviderKind, Service

_DECISIVE = frozenset({"model", "stream", "stream_options", "max_tokens", "max_completion_tokens", "n", "messages"})
DONE = b"data: [DONE]\n\n"
_ENVELOPE_BYTES = 180
"""A delta event without its content."""


class _ToolCall(msgspec.Struct):
    id: str | None = None


class _Message(msgspec.Struct):
    tool_calls: list[_ToolCall] | None = None


class _Choice(msgspec.Struct):
    message: _Message | None = None
    delta: _Message | None = None
    finish_reason: str | None = None


class _Completion(msgspec.Struct):
    choices: list[_Choice] = []
    usage: ChatUsage | None = None


_completion = msgspec.json.Decoder(_Completion).decode
_options = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class OpenAIChat:
    """``POST /chat/completions``."""

    surface = "openai_chat"
    operation = "chat"
    service: Service = "openai/chat"
    kind: ProviderKind = "openai"
    path = "/chat/completions"
    decisive_headers = OPENAI_HEADERS

    def parse(self, body: bytes) -> ModelRequest:
        fields = strict_object(body, _DECISIVE)
        estimated, most = estimate_tokens(body, CHAT_MEDIA)
        model = required_model(fields)
        stream = boolean(fields, "stream")
        limit = whole_number(fields, "max_completion_tokens")
        if limit is None:
            limit = whole_number(fields, "max_tokens")
        answers = whole_number(fields, "n") or 1
        if limit is not None:
            limit *= answers
        return ModelRequest(
            model=model,
            body=fields,
            stream=stream,
            input_tokens=estimated,
            max_input_tokens=most,
            max_output_tokens=limit,
            hide_usage=stream and not _asks_for_usage(fields),
        )

    def upstream_path(self, model: str) -> str:
        return self.path

    def upstream_body(self, request: ModelRequest, model: str) -> bytes:
        body = request.body
        named = {} if model == request.model else {"model": msgspec.json.encode(model)}
        if request.hide_usage:
            return body.with_fields({**named, "stream_options": _with_usage(body)})
        return body.replace("model", named["model"]) if named else body.body

    def read(self, body: bytes) -> Reading | None:
        try:
            answer = _completion(body)
        except msgspec.MsgspecError:
            return None
        ids: list[str] = []
        stop_reason: str | None = None
        for choice in answer.choices:
            stop_reason = stop_reason or choice.finish_reason
            if choice.message and choice.message.tool_calls:
                ids += [call.id for call in choice.message.tool_calls if call.id]
        return Reading(
            usage=answer.usage.normal() if answer.usage else None, tool_use_ids=tuple(ids), stop_reason=stop_reason
        )

    def stream_reader(self, request: ModelRequest) -> ChatStreamReader:
        return ChatStreamReader(hide_usage=request.hide_usage)

    def refusal_body(self, refusal: Refusal) -> tuple[int, Headers, bytes]:
        return refusal_body(refusal)

    def error_event(self, code: str, message: str) -> bytes:
        return chat_error_event(code, message)


class ChatStreamReader:
    """Reads usage, tool-call ids and the finish reason from a chat stream."""

    __slots__ = ("_cutter", "_hide_usage", "_tool_uses", "content_bytes", "ended", "stop_reason", "usage")

    def __init__(self, *, hide_usage: bool) -> None:
        self._hide_usage = hide_usage
        self._cutter = EventCutter()
        self._tool_uses: list[str] = []
        self.usage: Usage | None = None
        self.stop_reason: str | None = None
        self.ended = False
        self.content_bytes = 0

    def feed(self, chunk: bytes) -> bytes:
        kept = [event for event in self._cutter.feed(chunk) if not self._read(event)]
        if not self._hide_usage:
            return chunk
        return kept[0] if len(kept) == 1 else b"".join(kept)

    def finish(self) -> bytes:
        """What was held back; and the end, where a vendor leaves it out after its finish reason."""
        held = self._cutter.pending if self._hide_usage else b""
        if self.ended or self.stop_reason is None or self._cutter.pending:
            return held
        self.ended = True
        return DONE

    def new_tool_uses(self) -> list[str]:
        found, self._tool_uses = self._tool_uses, []
        return found

    def _read(self, event: bytes) -> bool:
        """Note what the event says; true if the client must not see it."""
        self.content_bytes += max(1, len(event) - _ENVELOPE_BYTES)
        find = event.find  # ``in`` would ask whether the bytes are a number first, four times an event
        has_usage = find(b'"usage"') >= 0 and find(b'"usage":null') < 0
        if not has_usage and find(b'"tool_calls"') < 0 and find(b'"finish_reason":"') < 0:
            if find(b"[DONE]") >= 0 and data_of(event).strip() == b"[DONE]":
                self.ended = True
            return False
        try:
            answer = _completion(data_of(event))
        except msgspec.MsgspecError:
            return False
        for choice in answer.choices:
            self.stop_reason = choice.finish_reason or self.stop_reason
            for call in (choice.delta.tool_calls or ()) if choice.delta else ():
                if call.id:
                    self._tool_uses.append(call.id)
        if answer.usage is None:
            return False
        self.usage = answer.usage.normal()
        return self._hide_usage and not answer.choices


def _asks_for_usage(body: StrictObject) -> bool:
    options = _stream_options(body)
    return bytes(options.get("include_usage", b"")) == b"true"


def _stream_options(body: StrictObject) -> dict[str, msgspec.Raw]:
    raw = body.get("stream_options")
    if raw is None or bytes(raw) == b"null":
        return {}
    try:
        return _options(raw)
    except msgspec.MsgspecError:
        raise BodyError("invalid_request", "'stream_options' must be an object") from None


def _with_usage(body: StrictObject) -> bytes:
    options = {**_stream_options(body), "include_usage": msgspec.Raw(b"true")}
    return msgspec.json.encode(options)
