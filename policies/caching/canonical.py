"""Canonical bytes of JSON: equal for what means the same, different for everything else.

Whitespace, the order of an object's keys and the way a character is escaped say nothing. Letter case, spaces
inside strings and the spelling of numbers (``1.0`` is not ``1``) are kept: an exact cache that folds them
answers one question with another's answer.

An object that repeats a key has no canonical form: parsers disagree about which value counts, so whoever
shares a cache with others could plant an answer for a body that a provider reads differently.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec

_decode = msgspec.json.Decoder(float_hook=Decimal).decode
_as_read = msgspec.json.Encoder(decimal_format="number").encode
_sorted = msgspec.json.Encoder(order="deterministic", decimal_format="number").encode


class NotCanonical(Exception):
    """Not JSON, or JSON that parsers read differently."""


def read_strictly(raw: bytes | bytearray | memoryview | msgspec.Raw) -> Any:
    """The decoded value; numbers with a fraction or exponent as ``Decimal``. Raises ``NotCanonical``."""
    data = bytes(raw)
    try:
        value = _decode(data)
        # The same bytes again: nothing was read twice or differently. What differs may only be an escape.
        if _as_read(value) != msgspec.json.format(data, indent=-1):
            json.loads(data, object_pairs_hook=_each_key_once)
    except (msgspec.MsgspecError, RecursionError, ValueError, ArithmeticError) as error:
        raise NotCanonical(str(error)) from None
    return value


def canonical(value: Any) -> bytes:
    """The canonical bytes of a decoded value."""
    return _sorted(value)


def _each_key_once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key occurs twice")
    return found
