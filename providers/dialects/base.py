"""What a wire dialect is: how to read a request, rewrite it, read an answer, and say no.

One module per dialect and operation. Same dialect in and out is opaque: bytes are forwarded, only the
model's name is spliced, and the few events that carry usage or tool-use ids are decoded on the way.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from policies.strict_json import BodyError, StrictObject
from policies.types import Refusal, Usage
from providers.dialects.marks import bears
from providers.services import ProviderKind, Service

Headers = list[tuple[str, str]]

STATUS: Mapping[str, int] = {"identity": 401, "permission": 403, "budget": 402, "rate": 429, "unavailable": 503}
REQUEST_STATUS: Mapping[str, int] = {
    "body_too_large": 413,
    "unsupported_content_type": 415,
    "unsupported_content_encoding": 415,
    # Not 400: Claude Code retries a 400 five times.
    "run_limit_widened": 403,
    "invalid_run_limits": 403,
    "max_tokens_required": 403,
    "unsupported_operation": 403,
}
LONGEST_RETRY_S = 60
"""Above this a client is told not to retry by itself: the Anthropic SDK sleeps whatever it is told."""

MEDIA_TOKENS = 1_600
"""Estimate of one image or document: the most that Anthropic counts for one image
(https://docs.anthropic.com/en/docs/build-with-claude/vision)."""

BYTES_PER_TOKEN = 4


class ModelRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request as far as the gate reads it. ``body`` keeps every byte."""

    model: str
    body: StrictObject
    stream: bool
    input_tokens: int
    """Estimated prompt tokens."""
    max_input_tokens: int | None = None
    """More than these the prompt cannot be: a token is a byte at least. ``None``: as ``input_tokens``."""
    max_output_tokens: int | None = 0
    """What the request allows; ``None`` when it does not say, zero where nothing is generated."""
    hide_usage: bool = False
    """The client did not ask for the usage chunk that the gate asks for."""
    fallbacks: tuple[str, ...] = ()
    """Models to try in order when this one fails, of the caller's own choice."""


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What a finished answer says about itself."""

    usage: Usage | None = None
    tool_use_ids: tuple[str, ...] = ()
    stop_reason: str | None = None


class StreamReader(Protocol):
    """Watches one stream while it is forwarded."""

    usage: Usage | None
    stop_reason: str | None
    ended: bool
    """The dialect's terminal event was seen."""
    content_bytes: int
    """Bytes of content that passed, envelopes excluded: the estimate when usage is missing."""

    def feed(self, chunk: bytes) -> bytes:
        """Take what arrived; return what goes on to the client (usually the same object)."""

    def finish(self) -> bytes:
        """The upstream has ended: what was still held back."""

    def new_tool_uses(self) -> list[str]:
        """Tool-use ids that were forwarded since the last call."""


class Dialect(Protocol):
    """One dialect's one operation."""

    surface: str
    operation: str
    service: Service
    kind: ProviderKind
    decisive_headers: frozenset[str]
    """Headers of a request that can change its answer."""

    def parse(self, body: bytes) -> ModelRequest:
        """Read the decision fields. Raises ``BodyError``."""

    def upstream_path(self, model: str) -> str:
        """Below the provider's ``base_url``."""

    def upstream_body(self, request: ModelRequest, model: str) -> bytes:
        """The body to send: the original bytes with what must differ spliced in."""

    def read(self, body: bytes) -> Reading | None:
        """Usage and tool uses of a complete answer; ``None`` if it is not JSON of this dialect."""

    def stream_reader(self, request: ModelRequest) -> StreamReader: ...

    def refusal_body(self, refusal: Refusal) -> tuple[int, Headers, bytes]:
        """A refusal in the dialect's own envelope."""

    def error_event(self, code: str, message: str) -> bytes:
        """The event that ends a stream which cannot go on."""


def required_model(body: StrictObject) -> str:
    """The ``model`` field. Raises ``BodyError``."""
    model = body.string("model")
    if not model:
        raise BodyError("missing_model", "The body names no model: set 'model' to a model's name.")
    return model


def boolean(body: StrictObject, name: str) -> bool:
    """A boolean field, absent and ``null`` meaning false. Raises ``BodyError``."""
    raw = body.get(name)
    if raw is None:
        return False
    text = bytes(raw)
    if text == b"true":
        return True
    if text in (b"false", b"null"):
        return False
    raise BodyError("invalid_request", f"'{name}' must be true or false")


def whole_number(body: StrictObject, name: str) -> int | None:
    """A non-negative integer field; ``None`` if absent or ``null``. Raises ``BodyError``."""
    raw = body.get(name)
    if raw is None or bytes(raw) == b"null":
        return None
    try:
        number = _decode_int(raw)
    except msgspec.MsgspecError:
        number = -1
    if number < 0:
        raise BodyError("invalid_request", f"'{name}' must be a whole number, zero or more")
    return number


_decode_int = msgspec.json.Decoder(int).decode
_decode_any = msgspec.json.Decoder().decode


def estimate_tokens(body: bytes, media_marks: tuple[bytes, ...]) -> tuple[int, int]:
    """Prompt tokens, estimated and at most: four bytes a token and one byte a token; media as a fixed number
    and never by their bytes."""
    text, media = len(body), 0
    if bears(body, media_marks):
        text, media = _weigh(_decode_any(body), 0)
    return text // BYTES_PER_TOKEN + media * MEDIA_TOKENS + 1, text + media * MEDIA_TOKENS + 1


def _weigh(value: Any, depth: int) -> tuple[int, int]:
    """Bytes of text and number of media blocks in a decoded body."""
    if isinstance(value, str):
        return (0, 1) if len(value) > 2_000 and _looks_binary(value) else (len(value), 0)
    if isinstance(value, dict):
        parts = [(len(name), 0) for name in value] + [_weigh(item, depth + 1) for item in value.values()]
    elif isinstance(value, list):
        parts = [_weigh(item, depth + 1) for item in value]
    else:
        return 4, 0
    return sum(p[0] for p in parts), sum(p[1] for p in parts)


def _looks_binary(text: str) -> bool:
    """Base64 or a data URL: no spaces in a stretch that prose would never fill without one."""
    return text.startswith("data:") or " " not in text[:2_000]


def refusal_status(refusal: Refusal) -> tuple[int, Headers]:
    """Status and headers of a refusal, the same in every dialect (design: outside faces)."""
    headers: Headers = [("content-type", "application/json")]
    if refusal.kind == "request":
        return REQUEST_STATUS.get(refusal.code, 400), headers
    if refusal.kind == "budget" or (refusal.kind == "rate" and refusal.retry_after_s is None):
        headers.append(("x-should-retry", "false"))
    elif refusal.kind == "rate" and refusal.retry_after_s is not None:
        wait = math.ceil(refusal.retry_after_s)
        headers.append(("retry-after", str(wait)))
        if wait > LONGEST_RETRY_S:
            headers.append(("x-should-retry", "false"))
    return STATUS[refusal.kind], headers
