"""What is expected of the next answer follows the answers that came."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from policies.expectation import CAPACITY, FEWEST_ANSWERS, LEAST_TOKENS, ExpectedOutput


@given(st.lists(st.integers(1, 200_000), min_size=FEWEST_ANSWERS, max_size=200))
def test_an_expectation_is_within_reach_of_what_was_seen(answers: list[int]) -> None:
    learned = ExpectedOutput()
    for tokens in answers:
        learned.observe("k", "m", tokens)
    assert LEAST_TOKENS <= learned.tokens("k", "m", 4_096) <= max(LEAST_TOKENS, 5 * max(answers))


def test_a_habit_is_learned_and_a_changed_one_followed() -> None:
    learned = ExpectedOutput()
    for _ in range(FEWEST_ANSWERS - 1):
        learned.observe("k", "m", 500)
    assert learned.tokens("k", "m", 4_096) == 4_096
    for _ in range(30):
        learned.observe("k", "m", 500)
    assert 500 <= learned.tokens("k", "m", 4_096) < 600
    for _ in range(30):
        learned.observe("k", "m", 20_000)
    assert learned.tokens("k", "m", 4_096) > 18_000
    assert learned.tokens("other", "m", 4_096) == 4_096


def test_what_is_remembered_is_bounded() -> None:
    learned = ExpectedOutput()
    for number in range(CAPACITY + 10):
        learned.observe(f"k{number}", "m", 1)
    for _ in range(FEWEST_ANSWERS):
        learned.observe("k0", "m", 9_999)
    assert len(learned._kept) == CAPACITY
