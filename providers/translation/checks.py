"""Checks of decoded JSON that say which field is wrong: what the readers of requests have in common."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from providers.translation.base import bad

_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}")
_SPACE = re.compile(r"\s+")


def an_object(value: Any, field: str) -> Mapping[str, Any]:
    """A JSON object. Raises ``BodyError``."""
    if not isinstance(value, dict):
        raise bad(field, "Field required" if value is None else "Input should be an object")
    return value


def listed(value: Any, field: str) -> Sequence[Any]:
    """A JSON array; the empty tuple stands for an absent field. Raises ``BodyError``."""
    if not isinstance(value, list | tuple):
        raise bad(field, "Field required" if value is None else "Input should be an array")
    return value


def text(value: Any, field: str, *, empty: bool = False) -> str:
    """A string, not empty unless ``empty``. Raises ``BodyError``."""
    if not isinstance(value, str):
        raise bad(field, "Field required" if value is None else "Input should be a string")
    if not value and not empty:
        raise bad(field, "must not be empty")
    return value


def flag(value: Any, field: str) -> bool | None:
    """A boolean, or ``None`` where there is none. Raises ``BodyError``."""
    if value is not None and not isinstance(value, bool):
        raise bad(field, "Input should be true or false")
    return value


def whole(value: Any, field: str, *, least: int = 0, most: int = 2**53) -> int | None:
    """A whole number within bounds, or ``None`` where there is none. Raises ``BodyError``."""
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise bad(field, "Input should be a whole number")
    if not least <= value <= most:
        raise bad(field, f"must be at least {least}" if value < least else f"must be at most {most}")
    return value


def number(value: Any, field: str, least: float, most: float) -> float | None:
    """A number within bounds, or ``None`` where there is none. Raises ``BodyError``."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise bad(field, "Input should be a number")
    if not least <= value <= most:
        raise bad(field, f"must be between {least:g} and {most:g}")
    return value


def base64_text(value: Any, field: str) -> str:
    """Base64 without line breaks. Raises ``BodyError``."""
    data = text(value, field)
    if "\n" in data or "\r" in data:
        data = _SPACE.sub("", data)
    if len(data) % 4 or _BASE64.fullmatch(data) is None:
        raise bad(field, "is not valid base64")
    return data
