"""Metrics: what the ledger says, counted. A row adds to the numbers of its series (half a microsecond), which become
Prometheus's own only when somebody asks (``gateway.admin.metrics``): its counters take a lock each, 8 µs a row in all.

Labels are bounded by configuration (providers, servers, kinds, outcomes), never by callers' input.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import NamedTuple

from policies.ledger import LedgerRow

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_BUCKETS_US = tuple(int(bound * 1_000_000) for bound in BUCKETS)


class Labels(NamedTuple):
    """By what rows are told apart."""

    kind: str
    provider: str | None
    outcome: str
    code: str | None
    basis: str
    cache: str | None
    """What the cache said, without its degree of likeness."""


class Series:
    """Rows of the same labels. ``buckets``: one more than ``BUCKETS`` has bounds."""

    __slots__ = ("buckets", "cost_nano", "input_tokens", "output_tokens", "rows", "saved_nano", "sum_us")

    def __init__(self) -> None:
        self.buckets = [0] * (len(BUCKETS) + 1)
        self.rows = self.sum_us = self.input_tokens = self.output_tokens = self.cost_nano = self.saved_nano = 0


class Telemetry:
    """Observes every ledger row."""

    def __init__(self) -> None:
        self._series: dict[tuple[str | None, ...], Series] = {}

    def observe(self, row: LedgerRow) -> None:
        """Count one row."""
        cache = row.cache
        if cache is not None:
            cache = cache.partition(":")[0]
        labels = (row.kind, row.provider, row.outcome, row.code, row.basis, cache)
        series = self._series.get(labels)
        if series is None:
            series = self._series[labels] = Series()
        series.rows += 1
        series.buckets[bisect_left(_BUCKETS_US, row.duration_us)] += 1
        series.sum_us += row.duration_us
        series.saved_nano += row.saved_nano
        if row.basis != "none":
            written = row.cache_write_tokens + row.cache_write_1h_tokens
            series.input_tokens += row.input_tokens + row.cache_read_tokens + written
            series.output_tokens += row.output_tokens
            series.cost_nano += row.cost_nano

    def series(self) -> list[tuple[Labels, Series]]:
        """All that was counted so far."""
        return [(Labels._make(labels), series) for labels, series in self._series.items()]
