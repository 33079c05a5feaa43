"""Vendors that differ only by address, key variable and quirks: rows of ``vendors.json``, not modules.

``source`` is the vendor's own page that says so. An entry of ``providers:`` may override the address.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from providers.services import ProviderKind


class Preset(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One vendor's API."""

    name: str
    kind: ProviderKind
    base_url: str
    source: str
    key_variable: str | None = None
    """Where the vendor's own SDK looks for the key; ``None``: it needs none."""
    stream_usage: bool = True
    """It takes ``stream_options.include_usage``; if not, it reports usage in the last chunk by itself."""
    responses: bool = False
    """It speaks OpenAI's responses API itself; where it does not, calls of that surface are told as chat
    completions."""
    token_limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"  # noqa: S105
    """The field in which it takes the bound of an answer."""
    reasoning_back: Literal["none", "reasoning_content", "reasoning_details"] = "none"
    """Where it wants an assistant's earlier thoughts handed back."""
    nine_letter_ids: bool = False
    """Its ids of calls are nine letters and digits, exactly."""
    cache_marks: bool = False
    """Content parts of chat completions may bear ``cache_control``."""


def _read() -> dict[str, Preset]:
    rows = msgspec.json.decode((Path(__file__).parent / "vendors.json").read_bytes(), type=list[Preset])
    return {row.name: row for row in rows}


PRESETS: Mapping[str, Preset] = _read()
