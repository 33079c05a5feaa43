"""How long an answer will probably be, learned per key and model from the answers that came.

Mean and mean deviation are smoothed as TCP smooths round-trip times (RFC 6298 section 2: gains 1/8 and
1/4, estimate = mean + 4 deviations), which follows a changed habit within some ten calls and forgives a
single long answer.
"""

from __future__ import annotations

from collections import OrderedDict

FEWEST_ANSWERS = 5
"""Before that many answers the configured expectation stands."""
LEAST_TOKENS = 64
CAPACITY = 10_000


class ExpectedOutput:
    """Bounded; of one process. Tokens throughout."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str], list[float]] = OrderedDict()

    def observe(self, key: str, model: str, output_tokens: int) -> None:
        """Learn from an answer whose usage was measured."""
        known = self._kept.get((key, model))
        if known is None:
            self._kept[key, model] = [1, float(output_tokens), output_tokens / 2]
            if len(self._kept) > CAPACITY:
                self._kept.popitem(last=False)
            return
        count, mean, deviation = known
        known[0] = count + 1
        known[2] = deviation + (abs(output_tokens - mean) - deviation) / 4
        known[1] = mean + (output_tokens - mean) / 8

    def tokens(self, key: str, model: str, otherwise: int) -> int:
        """What to expect of the next answer; ``otherwise`` until enough is known."""
        known = self._kept.get((key, model))
        if known is None or known[0] < FEWEST_ANSWERS:
            return otherwise
        return max(LEAST_TOKENS, int(known[1] + 4 * known[2]))
