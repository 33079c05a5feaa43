"""Where a call goes next: by the kind of failure, group by group, with pauses; breakers; runs that stay."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.dispatch import Target
from policies.pricing import FREE
from policies.types import FailureClass, Outcome
from providers.affinity import TTL_NS, Affinity
from providers.breaker import LONGEST_OPEN_S, BreakerRules, Breakers
from providers.failures import failure_class, retry_after_s
from providers.itinerary import LONGEST_WAIT_S, MOST_ATTEMPTS, Itinerary, RetryRules

SECOND = 1_000_000_000
A1, A2 = Target("a", "m", FREE, (), "one"), Target("a", "m", FREE, (), "two")
B, C = Target("b", "m", FREE), Target("c", "larger", FREE)


def failed(failure: FailureClass | None, after: float | None = None) -> Outcome:
    return Outcome(kind="failed", code="x", failure=failure, retry_after_s=after)


def plan(*groups: list[Target], again: int = 0) -> Itinerary:
    return Itinerary(groups, lambda _: RetryRules(again, 0.5, 5.0), groups[0] if groups else (), lambda: 0.5)


def test_a_rate_limit_goes_to_another_key_of_the_same_provider_first() -> None:
    trip = plan([A1, B, A2])
    following = trip.following(A1, failed("rate"))
    assert following is not None
    assert (list(following.targets), following.pause_s, following.reason) == ([A2, B], 0.0, "other_key")


def test_an_outage_goes_to_the_next_target_at_once() -> None:
    following = plan([A1, B]).following(A1, failed("outage"))
    assert following is not None
    assert (list(following.targets), following.pause_s, following.reason) == ([B], 0.0, "other_target")


def test_a_key_that_was_rejected_is_not_used_again_for_this_call() -> None:
    trip = plan([A1, A2], again=5)
    first = trip.following(A1, failed("credentials"))
    assert first is not None
    assert list(first.targets) == [A2]
    second = trip.following(A2, failed("outage"))
    assert second is not None
    assert (list(second.targets), second.reason) == ([A2], "retry")
    assert trip.following(A2, failed("credentials")) is None


def test_the_same_targets_are_tried_again_after_growing_pauses_then_the_fallbacks() -> None:
    trip = plan([B], [C], again=3)
    pauses = []
    while True:
        following = trip.following(B, failed("outage"))
        assert following is not None
        if following.reason == "fallback":
            break
        pauses.append(following.pause_s)
    assert pauses == [0.5, 1.0, 2.0]
    assert list(following.targets) == [C]
    assert trip.is_fallback(C)
    assert not trip.is_fallback(B)


def test_a_prompt_that_is_too_long_goes_to_another_model_only() -> None:
    following = plan([A1, B], [C], again=5).following(A1, failed("context"))
    assert following is not None
    assert (list(following.targets), following.reason) == ([C], "fallback")
    assert plan([A1, B]).following(A1, failed("context")) is None


@pytest.mark.parametrize("failure", ["final", None])
def test_what_is_the_callers_fault_is_not_tried_again(failure: FailureClass | None) -> None:
    assert plan([A1, B], [C], again=5).following(A1, failed(failure)) is None


def test_an_upstreams_own_pause_counts_unless_it_is_too_long() -> None:
    following = plan([B], again=1).following(B, failed("rate", 7.0))
    assert following is not None
    assert following.pause_s == 7.0
    assert plan([B], again=1).following(B, failed("rate", LONGEST_WAIT_S + 1)) is None
    onward = plan([B], [C], again=1).following(B, failed("rate", LONGEST_WAIT_S + 1))
    assert onward is not None
    assert onward.reason == "fallback"


@given(
    st.lists(st.lists(st.sampled_from([A1, A2, B, C]), min_size=1, max_size=3, unique=True), min_size=1, max_size=3),
    st.lists(st.sampled_from(["outage", "rate", "credentials", "context", "final"]), min_size=20, max_size=20),
    st.integers(0, 10),
)
def test_every_plan_ends_and_pauses_are_bounded(
    groups: list[list[Target]], fates: list[FailureClass], again: int
) -> None:
    trip = Itinerary(groups, lambda _: RetryRules(again, 0.5, 5.0), groups[0], random.Random(1).random)
    target, dead = groups[0][0], set[tuple[str, str]]()
    for attempts, fate in enumerate(fates):
        following = trip.following(target, failed(fate))
        if fate == "credentials":
            dead.add((target.owner, target.account))
        if following is None:
            return
        assert 0 <= following.pause_s <= 6.0
        assert not {(t.owner, t.account) for t in following.targets} & dead
        target = following.targets[0]
        assert attempts < MOST_ATTEMPTS


class Clock:
    now = 10**18

    def __call__(self) -> int:
        return self.now


def test_a_breaker_opens_probes_once_and_closes() -> None:
    clock, rules = Clock(), BreakerRules(3, 30.0)
    breakers = Breakers(clock)
    for _ in range(2):
        breakers.ended(A1, "outage", rules)
    assert breakers.state(A1) == "closed"
    breakers.ended(A1, "rate", rules)
    assert breakers.state(A1) == "open"
    assert breakers.preferred([A1, B]) == ([B], [A1])
    assert breakers.preferred([A2]) == ([A2], []), "another key is another breaker"
    clock.now += 31 * SECOND
    assert breakers.preferred([A1, B]) == ([A1, B], [])
    breakers.begun(A1)
    assert breakers.preferred([A1, B]) == ([B], [A1]), "one probe at a time"
    breakers.ended(A1, None, rules)
    assert breakers.state(A1) == "closed"
    assert breakers.report() == []


def test_a_probe_that_fails_opens_for_longer_up_to_a_bound() -> None:
    clock, rules = Clock(), BreakerRules(1, 30.0)
    breakers = Breakers(clock)
    spans = []
    for _ in range(8):
        breakers.begun(B)
        breakers.ended(B, "outage", rules)
        spans.append(breakers.report()[0]["probe_in_s"])
        clock.now += int(LONGEST_OPEN_S + 1) * SECOND
    assert spans == [30, 60, 120, 240, 480, 600, 600, 600]


def test_a_callers_fault_neither_opens_nor_closes_a_breaker() -> None:
    breakers, rules = Breakers(Clock()), BreakerRules(2, 30.0)
    breakers.ended(B, "outage", rules)
    breakers.ended(B, "final", rules)
    breakers.ended(B, "context", rules)
    assert breakers.state(B) == "closed"
    breakers.ended(B, "outage", rules)
    assert breakers.state(B) == "open"


def test_a_run_stays_with_its_target_for_an_hour() -> None:
    clock = Clock()
    affinity = Affinity(clock)
    affinity.remember(("k", "r", "m"), B)
    assert affinity.first(("k", "r", "m"), [A1, B]) == [B, A1]
    assert affinity.first(("other", "r", "m"), [A1, B]) == [A1, B]
    clock.now += TTL_NS + 1
    assert affinity.first(("k", "r", "m"), [A1, B]) == [A1, B]


@pytest.mark.parametrize(
    ("status", "body", "own", "expected"),
    [
        (500, b"", True, "outage"),
        (529, b"", True, "outage"),
        (429, b"", True, "rate"),
        (401, b"", True, "credentials"),
        (402, b"", True, "credentials"),
        (401, b"", False, "final"),
        (400, b'{"error":{"code":"context_length_exceeded","message":"x"}}', True, "context"),
        (400, b'{"error":{"message":"prompt is too long: 210000 tokens > 200000 maximum"}}', True, "context"),
        (400, b'{"error":{"message":"This model\'s maximum context length is 8192 tokens"}}', True, "context"),
        (400, b'{"error":{"message":"bad temperature"}}', True, "final"),
        (404, b"", True, "final"),
        (422, b"", True, "final"),
    ],
)
def test_failures_are_told_apart(status: int, body: bytes, own: bool, expected: str) -> None:
    assert failure_class(status, body, own_key=own) == expected


@pytest.mark.parametrize(
    ("value", "ms", "expected"),
    [
        ("7", None, 7.0),
        ("0.5", None, 0.5),
        (None, "1500", 1.5),
        ("7", "250", 0.25),
        ("soon", None, None),
        ("-1", None, None),
    ],
)
def test_the_upstreams_pause_is_read(value: str | None, ms: str | None, expected: float | None) -> None:
    assert retry_after_s(value, ms) == expected
