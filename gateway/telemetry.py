"""Metrics: what the ledger says, counted. Rows are counted in plain numbers (2 µs a row), which become Prometheus's own
only when somebody asks (``gateway.admin.metrics``): its counters take a lock each, 8 µs a row in all.

Labels are bounded by configuration (providers, servers, kinds, outcomes), never by callers' input.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict

from policies.ledger import LedgerRow

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_BUCKETS_US = tuple(int(bound * 1_000_000) for bound in BUCKETS)

Labels = tuple[str, ...]


class Durations:
    """Of one kind of call. ``buckets``: one more than ``BUCKETS`` has bounds."""

    __slots__ = ("buckets", "sum_us")

    def __init__(self) -> None:
        self.buckets = [0] * (len(BUCKETS) + 1)
        self.sum_us = 0

    def add(self, duration_us: int) -> None:
        self.buckets[bisect_left(_BUCKETS_US, duration_us)] += 1
        self.sum_us += duration_us


class Telemetry:
    """Observes every ledger row."""

    def __init__(self) -> None:
        self.calls: defaultdict[Labels, int] = defaultdict(int)
        self.tokens: defaultdict[Labels, int] = defaultdict(int)
        self.cost: defaultdict[Labels, int] = defaultdict(int)
        self.cache: defaultdict[Labels, int] = defaultdict(int)
        self.saved: defaultdict[Labels, int] = defaultdict(int)
        self.durations: defaultdict[str, Durations] = defaultdict(Durations)

    def observe(self, row: LedgerRow) -> None:
        """Count one row."""
        provider = row.provider or ""
        self.calls[row.kind, provider, row.outcome, row.code or ""] += 1
        self.durations[row.kind].add(row.duration_us)
        if row.cache is not None:
            self.cache[row.kind, row.cache.partition(":")[0]] += 1
            if row.saved_nano:
                self.saved[row.kind,] += row.saved_nano
        if row.basis == "none":
            return
        if row.input_tokens or row.output_tokens:
            written = row.cache_write_tokens + row.cache_write_1h_tokens
            self.tokens[provider, "input"] += row.input_tokens + row.cache_read_tokens + written
            self.tokens[provider, "output"] += row.output_tokens
        if row.cost_nano:
            self.cost[provider, row.basis] += row.cost_nano
