"""What the admin application is made of. Nothing here loads a framework: the application itself is loaded when the
first request for it comes (``gateway.composition``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from gateway.keyring import Keyring
from gateway.price_book import PriceBook
from gateway.telemetry import Telemetry
from policies.counters import Counters
from policies.identity import Directory
from policies.journaled_ledger import JournaledLedger
from policies.look_up import LookUp
from policies.run_limits import RunTiers
from providers.dialects.base import Dialect
from providers.executor import ModelExecutor
from providers.routing import Router


@dataclass(frozen=True, slots=True)
class Health:
    """``degraded`` serves: rows wait in the journal, or budgets are counted within an outage's allowance. A
    balancer that took such a gate out would make an outage of its store an outage of everything."""

    status: Literal["ready", "degraded", "not_ready"]
    reasons: tuple[str, ...] = ()


class Reports(Protocol):
    """What the running gateway can tell about itself."""

    def ready(self) -> Health:
        """Whether it can serve."""

    def doctor(self) -> dict[str, Any]:
        """State of every server, provider and store."""

    def explain(self, key: str, model: str | None, tool: str | None) -> dict[str, Any] | None:
        """Which decision a call would meet and why; ``None`` if there is no such key."""


@dataclass(frozen=True, slots=True)
class Operations:
    """What ``/me``, ``/metrics``, ``doctor`` and ``explain`` need."""

    reports: Reports
    directory: Directory
    counters: Counters
    runs: RunTiers
    telemetry: Telemetry
    clock: Callable[[], int]


@dataclass(frozen=True, slots=True)
class Prices:
    """What ``/api/prices`` needs."""

    book: PriceBook
    router: Callable[[], Router]


@dataclass(frozen=True, slots=True)
class CacheParts:
    """What ``/api/cache`` needs. ``look_up`` is ``None`` where nothing can be kept."""

    look_up: LookUp | None
    keyring: Keyring
    executor: ModelExecutor
    dialects: Mapping[str, Dialect]
    """By operation: ``chat``, ``messages`` …"""
    ledger: JournaledLedger


@dataclass(frozen=True, slots=True)
class AdminParts:
    """Everything."""

    operations: Operations
    keyring: Keyring
    ledger: JournaledLedger
    prices: Prices
    cache: CacheParts
    token: str
    """Opens ``/api`` and ``/metrics``."""
