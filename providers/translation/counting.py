"""Counts of tokens between Anthropic (https://docs.anthropic.com/en/api/messages-count-tokens) and Gemini
(https://ai.google.dev/api/tokens): what is counted is the request as the vendor that counts would get it."""

from __future__ import annotations

from typing import Any

import msgspec

from policies.strict_json import StrictObject
from providers.canonical.request import Request
from providers.translation.anthropic_request_writer import write_request as write_for_anthropic
from providers.translation.base import Traits, bad, decoded_fields
from providers.translation.checks import an_object
from providers.translation.gemini_request_reader import request_of
from providers.translation.gemini_request_writer import write_request as write_for_gemini
from providers.translation.gemini_wire import camel
from providers.translation.plain_exchange import PlainExchange, Told

_GEMINI_COUNTS = ("contents", "systemInstruction", "tools")
"""What of a request has tokens of its own there."""
_ANTHROPIC_COUNTS = ("model", "messages", "system", "tools", "tool_choice", "thinking")
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.encode


class _TotalTokens(msgspec.Struct, rename="camel"):
    total_tokens: int


class _InputTokens(msgspec.Struct):
    input_tokens: int


_total_tokens = msgspec.json.Decoder(_TotalTokens).decode
_input_tokens = msgspec.json.Decoder(_InputTokens).decode


def read_gemini_count(body: StrictObject, model: str) -> Request:
    """A ``countTokens`` request, of AI Studio's shape (``contents`` or ``generateContentRequest``) or Vertex AI's
    (fields of a request beside ``contents``). Raises ``BodyError``."""
    fields = camel(decoded_fields(body), "request")
    inner = fields.get("generateContentRequest")
    if inner is None:
        return request_of(fields, model, stream=False)
    if "contents" in fields:
        raise bad("contents", "is mutually exclusive with generateContentRequest")
    return request_of(an_object(inner, "generateContentRequest"), model, stream=False)


def counted_by_gemini(request: Request, model: str, traits: Traits, *, vertex: bool = False) -> PlainExchange:
    """``countTokens`` of ``model`` for an Anthropic client; ``vertex``: in Vertex AI's shape. Raises ``BodyError``."""
    written = write_for_gemini(request, model, traits)
    fields = _fields(written.body)
    wanted: dict[str, Any] = {name: fields[name] for name in _GEMINI_COUNTS if name in fields}
    if not vertex and wanted.keys() != {"contents"}:
        # Google AI Studio takes nothing beside ``contents`` but a whole request, which must name its model.
        wanted = {"generateContentRequest": {"model": f"models/{model}", **wanted}}
    return PlainExchange(_encode(wanted), written.losses, _as_anthropic)


def counted_by_anthropic(request: Request, model: str, traits: Traits) -> PlainExchange:
    """``count_tokens`` of ``model`` for a Gemini client. Raises ``BodyError``."""
    written = write_for_anthropic(request, model, traits)
    fields = _fields(written.body)
    wanted = {name: fields[name] for name in _ANTHROPIC_COUNTS if name in fields}
    return PlainExchange(_encode(wanted), written.losses, _as_gemini)


def _as_anthropic(body: bytes) -> Told:
    return Told(_encode({"input_tokens": _total_tokens(body).total_tokens}))


def _as_gemini(body: bytes) -> Told:
    return Told(_encode({"totalTokens": _input_tokens(body).input_tokens}))
