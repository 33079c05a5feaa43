"""What was counted, in Prometheus's words: its own objects are made when somebody asks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.telemetry import BUCKETS, Labels, Telemetry

CONTENT_TYPE = CONTENT_TYPE_LATEST
_BOUNDS = (*(str(float(bound)) for bound in BUCKETS), "+Inf")


class Metrics(Collector):
    """Renders one process's counts."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def render(self) -> bytes:
        """The text that a scrape takes."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """What was counted so far."""
        seen = self._telemetry
        yield _counter(
            "tollkeeper_calls",
            "Attempts, refusals and cache hits.",
            ("kind", "provider", "outcome", "code"),
            seen.calls,
        )
        yield _counter("tollkeeper_tokens", "Tokens by kind.", ("provider", "direction"), seen.tokens)
        yield _counter("tollkeeper_cost_nanodollars", "Cost in nano-dollars.", ("provider", "basis"), seen.cost)
        yield _counter("tollkeeper_cache", "What the cache said of calls that took part.", ("kind", "said"), seen.cache)
        yield _counter("tollkeeper_cache_saved_nanodollars", "Cost that the cache saved.", ("kind",), seen.saved)
        durations = HistogramMetricFamily(
            "tollkeeper_call_duration_seconds", "From request read to row written.", labels=("kind",)
        )
        for kind, found in seen.durations.items():
            below = 0
            buckets: list[tuple[str, float]] = []
            for bound, count in zip(_BOUNDS, found.buckets, strict=True):
                below += count
                buckets.append((bound, below))
            durations.add_metric((kind,), buckets, found.sum_us / 1e6)
        yield durations


def _counter(name: str, help_text: str, labels: Labels, counts: Mapping[Labels, int]) -> Metric:
    family = CounterMetricFamily(name, help_text, labels=labels)
    for values, count in counts.items():
        family.add_metric(values, count)
    return family
