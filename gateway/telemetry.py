"""Metrics: what the ledger says, as Prometheus counters. Children are cached (0.4 µs an increment).

Labels are bounded by configuration (providers, servers, kinds, outcomes), never by callers' input.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram

from policies.ledger import LedgerRow

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class Telemetry:
    """Observes every ledger row."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._calls = Counter(
            "tollkeeper_calls",
            "Attempts, refusals and cache hits.",
            ("kind", "provider", "outcome", "code"),
            registry=self.registry,
        )
        self._tokens = Counter(
            "tollkeeper_tokens", "Tokens by kind.", ("provider", "direction"), registry=self.registry
        )
        self._cost = Counter(
            "tollkeeper_cost_nanodollars", "Cost in nano-dollars.", ("provider", "basis"), registry=self.registry
        )
        self._duration = Histogram(
            "tollkeeper_call_duration_seconds",
            "From request read to row written.",
            ("kind",),
            registry=self.registry,
            buckets=BUCKETS,
        )
        self._cache = Counter(
            "tollkeeper_cache", "What the cache said of calls that took part.", ("kind", "said"), registry=self.registry
        )
        self._saved = Counter(
            "tollkeeper_cache_saved_nanodollars", "Cost that the cache saved.", ("kind",), registry=self.registry
        )
        self._cache_children: dict[tuple[str, str], Counter] = {}
        self._call_children: dict[tuple[str, str, str, str], Counter] = {}
        self._token_children: dict[str, tuple[Counter, Counter]] = {}
        self._cost_children: dict[tuple[str, str], Counter] = {}
        self._duration_children: dict[str, Histogram] = {}

    def observe(self, row: LedgerRow) -> None:
        """Count one row."""
        provider = row.provider or ""
        labels = (row.kind, provider, row.outcome, row.code or "")
        child = self._call_children.get(labels)
        if child is None:
            child = self._call_children[labels] = self._calls.labels(*labels)
        child.inc()
        self._observe_duration(row)
        if row.cache is not None:
            self._observe_cache(row, row.cache)
        if row.basis == "none":
            return
        if row.input_tokens or row.output_tokens:
            self._observe_tokens(provider, row)
        if row.cost_nano:
            spent = (provider, row.basis)
            cost = self._cost_children.get(spent)
            if cost is None:
                cost = self._cost_children[spent] = self._cost.labels(*spent)
            cost.inc(row.cost_nano)

    def _observe_cache(self, row: LedgerRow, cache: str) -> None:
        said = row.kind, cache.partition(":")[0]
        child = self._cache_children.get(said)
        if child is None:
            child = self._cache_children[said] = self._cache.labels(*said)
        child.inc()
        if row.saved_nano:
            self._saved.labels(row.kind).inc(row.saved_nano)

    def _observe_duration(self, row: LedgerRow) -> None:
        duration = self._duration_children.get(row.kind)
        if duration is None:
            duration = self._duration_children[row.kind] = self._duration.labels(row.kind)
        duration.observe(row.duration_us / 1e6)

    def _observe_tokens(self, provider: str, row: LedgerRow) -> None:
        pair = self._token_children.get(provider)
        if pair is None:
            pair = self._tokens.labels(provider, "input"), self._tokens.labels(provider, "output")
            self._token_children[provider] = pair
        pair[0].inc(row.input_tokens + row.cache_read_tokens + row.cache_write_tokens + row.cache_write_1h_tokens)
        pair[1].inc(row.output_tokens)
