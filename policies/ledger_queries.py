"""What can be asked of the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import msgspec

from policies.ledger import LedgerRow

GroupBy = Literal["none", "key", "team", "customer", "model", "tool", "provider", "run", "day", "kind", "outcome"]


@dataclass(frozen=True, slots=True)
class LedgerFilter:
    """Rows that match every given field."""

    key: str | None = None
    team: str | None = None
    customer: str | None = None
    run: str | None = None
    kind: str | None = None
    outcome: str | None = None
    provider: str | None = None
    target: str | None = None
    call_id: str | None = None
    since_ns: int | None = None
    until_ns: int | None = None


class Page(msgspec.Struct, frozen=True):
    """Rows in order, and the cursor of the next page."""

    rows: list[LedgerRow]
    next_cursor: str | None


class Total(msgspec.Struct, frozen=True):
    """Sums of one group."""

    group: str | None
    calls: int
    refused: int
    failed: int
    input_tokens: int
    output_tokens: int
    cost_nano: int
    cached: int = 0
    saved_nano: int = 0
    """What the cache saved."""


class UsageSum(msgspec.Struct, frozen=True):
    """What one tier used on one UTC day (``YYYY-MM-DD``)."""

    tier: str
    day: str
    cost_nano: int
    tokens: int
    requests: int


class RunUse(msgspec.Struct, frozen=True):
    """What one run of one key has used."""

    key: str
    run: str
    began_ns: int
    cost_nano: int
    tool_calls: int
    model_calls: int


class InvalidCursor(Exception):
    """A cursor that this ledger did not make."""


class StoreUnavailable(Exception):
    """The store does not take or give rows now; the message says why."""


class LedgerStore(Protocol):
    """Where rows are kept. Calls block: use them off the event loop."""

    def write(self, rows: Sequence[LedgerRow]) -> int:
        """Insert rows and add them to the daily sums, in one transaction; a row that is there already is
        passed over and adds nothing. How many were new. Raises ``StoreUnavailable``."""

    def page(self, wanted: LedgerFilter, cursor: str | None, limit: int, *, newest_first: bool) -> Page:
        """One page. Raises ``InvalidCursor``."""

    def totals(self, wanted: LedgerFilter, group: GroupBy) -> list[Total]:
        """Sums by group, dearest first."""

    def run_rows(self, run: str, limit: int) -> list[LedgerRow]:
        """All rows of a run, oldest first."""

    def recent(self, since_ns: int) -> list[LedgerRow]:
        """Rows since a moment, oldest first: what rolling windows are rebuilt from."""

    def usage_since(self, day: str) -> list[UsageSum]:
        """Daily sums from ``day`` on."""

    def run_use(self, since_ns: int) -> list[RunUse]:
        """Every run that was active since a moment, with all that it used."""

    def delete_beyond(self, rows: int, limit: int) -> int:
        """Delete at most ``limit`` of the oldest rows, so that ``rows`` are kept; daily sums stay. How many went."""

    def delete_before(self, started_ns: int, limit: int) -> int:
        """Delete at most ``limit`` rows older than that; daily sums stay. How many went."""

    def close(self) -> None: ...
