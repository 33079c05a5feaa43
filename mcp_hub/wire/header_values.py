"""Names and arguments as HTTP header values: plain, or wrapped as ``=?base64?…?=``
(https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/streamable-http#value-encoding).
"""

from __future__ import annotations

import base64
import binascii

_OPEN, _CLOSE = "=?base64?", "?="


def encode_header(value: str) -> str:
    """Plain if it is printable ASCII without edge spaces, else base64."""
    plain = value.isascii() and value.isprintable() and value == value.strip() and not value.startswith("=?")
    return value if plain and value else f"{_OPEN}{base64.b64encode(value.encode()).decode()}{_CLOSE}"


def decode_header(value: str) -> str | None:
    """What a header value says; ``None`` for a broken wrapping. Without the exact wrapping it is literal; blanks
    around it are not part of it (RFC 9110 §5.5)."""
    value = value.strip(" \t")
    if not (value.startswith(_OPEN) and value.endswith(_CLOSE) and len(value) >= len(_OPEN) + len(_CLOSE)):
        return value
    try:
        return base64.b64decode(value[len(_OPEN) : -len(_CLOSE)], validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
