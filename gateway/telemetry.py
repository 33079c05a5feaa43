"""Metrics: what the ledger says, as Prometheus counters. Rows are counted in plain numbers (2 µs a row), which become
Prometheus's own only when somebody asks: its counters take a lock each, 8 µs a row in all.

Labels are bounded by configuration (providers, servers, kinds, outcomes), never by callers' input.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from policies.ledger import LedgerRow

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_BUCKETS_US = tuple(int(bound * 1_000_000) for bound in BUCKETS)
_BOUNDS = (*(str(float(bound)) for bound in BUCKETS), "+Inf")

Labels = tuple[str, ...]


class _Durations:
    """Of one kind of call."""

    __slots__ = ("buckets", "sum_us")

    def __init__(self) -> None:
        self.buckets = [0] * len(_BOUNDS)
        self.sum_us = 0

    def add(self, duration_us: int) -> None:
        self.buckets[bisect_left(_BUCKETS_US, duration_us)] += 1
        self.sum_us += duration_us


class Telemetry(Collector):
    """Observes every ledger row."""

    def __init__(self) -> None:
        self._calls: defaultdict[Labels, int] = defaultdict(int)
        self._tokens: defaultdict[Labels, int] = defaultdict(int)
        self._cost: defaultdict[Labels, int] = defaultdict(int)
        self._cache: defaultdict[Labels, int] = defaultdict(int)
        self._saved: defaultdict[Labels, int] = defaultdict(int)
        self._durations: defaultdict[str, _Durations] = defaultdict(_Durations)
        self.registry = CollectorRegistry()
        self.registry.register(self)

    def observe(self, row: LedgerRow) -> None:
        """Count one row."""
        provider = row.provider or ""
        self._calls[row.kind, provider, row.outcome, row.code or ""] += 1
        self._durations[row.kind].add(row.duration_us)
        if row.cache is not None:
            self._cache[row.kind, row.cache.partition(":")[0]] += 1
            if row.saved_nano:
                self._saved[row.kind,] += row.saved_nano
        if row.basis == "none":
            return
        if row.input_tokens or row.output_tokens:
            written = row.cache_write_tokens + row.cache_write_1h_tokens
            self._tokens[provider, "input"] += row.input_tokens + row.cache_read_tokens + written
            self._tokens[provider, "output"] += row.output_tokens
        if row.cost_nano:
            self._cost[provider, row.basis] += row.cost_nano

    def collect(self) -> Iterator[Metric]:
        """What was counted so far, when Prometheus asks."""
        yield _counter(
            "tollkeeper_calls",
            "Attempts, refusals and cache hits.",
            ("kind", "provider", "outcome", "code"),
            self._calls,
        )
        yield _counter("tollkeeper_tokens", "Tokens by kind.", ("provider", "direction"), self._tokens)
        yield _counter("tollkeeper_cost_nanodollars", "Cost in nano-dollars.", ("provider", "basis"), self._cost)
        yield _counter(
            "tollkeeper_cache", "What the cache said of calls that took part.", ("kind", "said"), self._cache
        )
        yield _counter("tollkeeper_cache_saved_nanodollars", "Cost that the cache saved.", ("kind",), self._saved)
        durations = HistogramMetricFamily(
            "tollkeeper_call_duration_seconds", "From request read to row written.", labels=("kind",)
        )
        for kind, found in self._durations.items():
            below = 0
            buckets: list[tuple[str, float]] = []
            for bound, count in zip(_BOUNDS, found.buckets, strict=True):
                below += count
                buckets.append((bound, below))
            durations.add_metric((kind,), buckets, found.sum_us / 1e6)
        yield durations


def _counter(name: str, help_text: str, labels: Labels, counts: defaultdict[Labels, int]) -> Metric:
    family = CounterMetricFamily(name, help_text, labels=labels)
    for values, count in counts.items():
        family.add_metric(values, count)
    return family
