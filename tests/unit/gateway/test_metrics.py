"""What a scrape says is what the rows add up to, label by label."""

from __future__ import annotations

from collections import Counter
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from gateway.admin.metrics import Metrics
from gateway.telemetry import BUCKETS, Telemetry
from policies.ledger import LedgerRow
from policies.types import Basis, OutcomeKind

NUMBER = st.integers(0, 10**12)
ROWS = st.lists(
    st.builds(
        LedgerRow,
        call_id=st.just("c"),
        started_ns=st.just(0),
        surface=st.just("openai_chat"),
        target=st.just("m"),
        kind=st.sampled_from(["model", "tool"]),
        provider=st.sampled_from([None, "lab", "other"]),
        outcome=st.sampled_from(get_args(OutcomeKind)),
        code=st.sampled_from([None, "upstream_cut"]),
        basis=st.sampled_from(get_args(Basis)),
        cache=st.sampled_from([None, "miss", "exact", "semantic:0.951", "semantic:0.962"]),
        duration_us=st.integers(0, 400_000_000),
        input_tokens=NUMBER,
        cache_read_tokens=NUMBER,
        cache_write_tokens=NUMBER,
        cache_write_1h_tokens=NUMBER,
        output_tokens=NUMBER,
        cost_nano=NUMBER,
        saved_nano=NUMBER,
    ),
    max_size=20,
)
Sample = tuple[str, tuple[str, ...]]


def told(metrics: Metrics) -> dict[Sample, float]:
    families = text_string_to_metric_families(metrics.render().decode())
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
        if sample.value
    }


def summed(rows: list[LedgerRow]) -> dict[Sample, float]:
    """The same, row by row; labels in the order of their names."""
    sums: Counter[Sample] = Counter()
    for row in rows:
        provider = row.provider or ""
        sums["tollkeeper_calls_total", (row.code or "", row.kind, row.outcome, provider)] += 1
        if row.cache is not None:
            sums["tollkeeper_cache_total", (row.kind, row.cache.split(":")[0])] += 1
        sums["tollkeeper_cache_saved_nanodollars_total", (row.kind,)] += row.saved_nano
        seconds = row.duration_us / 1e6
        for bound in (*BUCKETS, float("inf")):
            le = "+Inf" if bound == float("inf") else str(float(bound))
            sums["tollkeeper_call_duration_seconds_bucket", (row.kind, le)] += seconds <= bound
        sums["tollkeeper_call_duration_seconds_count", (row.kind,)] += 1
        sums["tollkeeper_call_duration_seconds_sum", (row.kind,)] += row.duration_us
        if row.basis == "none":
            continue
        asked = row.input_tokens + row.cache_read_tokens + row.cache_write_tokens + row.cache_write_1h_tokens
        sums["tollkeeper_tokens_total", ("input", provider)] += asked
        sums["tollkeeper_tokens_total", ("output", provider)] += row.output_tokens
        sums["tollkeeper_cost_nanodollars_total", (row.basis, provider)] += row.cost_nano
    return {
        (name, labels): value / 1e6 if name.endswith("seconds_sum") else float(value)
        for (name, labels), value in sums.items()
        if value
    }


@given(ROWS)
def test_a_scrape_tells_the_sums_of_all_rows(rows: list[LedgerRow]) -> None:
    telemetry = Telemetry()
    for row in rows:
        telemetry.observe(row)
    assert told(Metrics(telemetry)) == summed(rows)
