"""What kind of failure an upstream's answer is: it decides whether and where a call is tried again.

| class | what | then |
|---|---|---|
| ``outage`` | no connection, reset, 408, 5xx, 529 | another target at once; the same ones again after a pause |
| ``rate`` | 429 | another key or target at once; the same ones again after what ``retry-after`` says |
| ``credentials`` | 401, 402, 403 of the gate's own key | that key is not used again for this call |
| ``context`` | the prompt is too long for the model | only a fallback, another model, can help |
| ``unsupported`` | the target's dialect cannot express what is asked | another target may |
| ``final`` | every other 4xx, and what is not the upstream's fault | nothing helps |

What vendors say of a prompt that is too long: OpenAI ``code: context_length_exceeded``
(https://platform.openai.com/docs/guides/error-codes), Anthropic ``prompt is too long``
(https://docs.anthropic.com/en/api/errors), Bedrock ``Input is too long for requested model``, vLLM and others
``maximum context length``.
"""

from __future__ import annotations

import re

import msgspec

from policies.types import FailureClass

OUTAGES = frozenset({408, 500, 502, 503, 504, 529})
_TOO_LONG = re.compile(
    r"context_length_exceeded|(?:prompt|input) is too long|maximum context length|context window"
    r"|input token count.{0,40}exceeds|too many tokens in the prompt"
    r"|exceeds? the (?:model's )?(?:maximum )?(?:context|input) (?:length|size)",
    re.IGNORECASE,
)
MOST_SAID = 4_096
"""Bytes of an error body that are looked at."""


def failure_class(status: int, body: bytes, *, own_key: bool) -> FailureClass:
    """Of an answer with an error status. ``own_key``: the credential was the gate's, not the caller's."""
    if status in OUTAGES:
        return "outage"
    if status == 429:
        return "rate"
    if status in (401, 402, 403):
        return "credentials" if own_key else "final"
    if status in (400, 413, 422) and _TOO_LONG.search(body[:MOST_SAID].decode(errors="replace")):
        return "context"
    return "final"


def retry_after_s(value: str | None, milliseconds: str | None) -> float | None:
    """Seconds that the upstream asks for (``retry-after`` in seconds, or ``retry-after-ms``). A date is not read."""
    for text, unit in ((milliseconds, 1000.0), (value, 1.0)):
        if text is not None and re.fullmatch(r"[0-9]{1,9}(?:\.[0-9]{1,6})?", text.strip()):
            return float(text) / unit
    return None


class _Error(msgspec.Struct):
    message: str = ""


class _Envelope(msgspec.Struct, rename={"denied": "Message"}):
    """Bedrock has no ``error`` around its message, and the word is another where AWS itself denies a call."""

    error: _Error | str | None = None
    message: str | None = None
    denied: str | None = None


_envelope = msgspec.json.Decoder(_Envelope).decode


def message_of(body: bytes) -> str:
    """The message of an error body, bounded; secrets are the upstream's to keep out of it."""
    try:
        said = _envelope(body)
    except msgspec.MsgspecError:
        return body[:200].decode(errors="replace")
    error = said.error
    if error is None:
        return (said.message or said.denied or "")[:500]
    return (error if isinstance(error, str) else error.message)[:500]
