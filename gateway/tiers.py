"""Compiles what the configuration says of payers into the core's tiers and grants.

A budget may be one pair (``budget_limit`` + ``budget_duration``) or a list; the same on every tier.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from policies.admission import Grants
from policies.grants import GrantSet
from policies.tiers import Budget, Rate, Tier, TierId, TierKind, Window

NANO = 1_000_000_000


class Limited(Protocol):
    """What every configured payer has in common (customers, teams, keys, providers)."""

    @property
    def budget_limit(self) -> Decimal | None: ...
    @property
    def budget_duration(self) -> object | None: ...


@dataclass(frozen=True, slots=True)
class KeyLimits:
    """Limits of a key as the admin API takes them. Durations are text: ``1d``."""

    budget_limit: Decimal | None = None
    budget_duration: str | None = None
    request_limit: int | None = None
    request_limit_duration: str | None = None
    token_limit: int | None = None
    token_limit_duration: str | None = None
