"""What an upstream says when it fails."""

from __future__ import annotations

import msgspec


class _Error(msgspec.Struct):
    message: str = ""


class _Envelope(msgspec.Struct):
    error: _Error | str | None = None


_envelope = msgspec.json.Decoder(_Envelope).decode


def message_of(body: bytes) -> str:
    """The message of an error body, bounded; secrets are the upstream's to keep out of it."""
    try:
        error = _envelope(body).error
    except msgspec.MsgspecError:
        return body[:200].decode(errors="replace")
    return (error if isinstance(error, str) else error.message if error else "")[:500]
