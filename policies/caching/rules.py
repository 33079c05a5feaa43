"""An exception from the cache's rules, for some models or one key."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    """``None``: as without it."""

    enabled: bool | None = None
    ttl_s: int | None = None


NO_RULE = Rule()
