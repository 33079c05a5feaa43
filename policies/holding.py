"""The hold of one attempt while it is open: how much is held before it leaves, and how it grows.

``expected`` holds the estimated input and a typical answer, and is topped up in steps while a stream
turns out longer. ``strict`` holds the most that the request allows, so that nothing is left to top up.
"""

from __future__ import annotations

import msgspec

from policies.counters import Counters, Exhausted, Hold
from policies.dispatch import Attempt, Target
from policies.ledger import LedgerRow
from policies.settlement import BYTES_PER_TOKEN
from policies.tiers import Tier
from policies.types import Estimate

LEAST_STEP_TOKENS = 256
UNBOUNDED = 2**62


def any_strict(*groups: tuple[Tier, ...]) -> bool:
    """Whether a tier holds the most that a call may use; then all of them do, as there is one hold."""
    for group in groups:
        for tier in group:
            if tier.enforcement == "strict":
                return True
    return False


def amounts(target: Target, estimate: Estimate, *, strict: bool) -> tuple[int, int]:
    """Nano-dollars and tokens to hold for an attempt before it leaves."""
    if strict:
        tokens = estimate.most_input_tokens + (estimate.max_output_tokens or 0)
    else:
        tokens = estimate.input_tokens + estimate.expected_output_tokens
    return target.price.hold(estimate, strict=strict), tokens


class Holding:
    """Grows a hold. One per attempt; the passage settles what ``hold`` is in the end."""

    __slots__ = ("_counters", "_cut", "_price", "_step", "_top", "estimate", "hold", "opened")

    def __init__(self, counters: Counters, target: Target, hold: Hold, estimate: Estimate, *, cut: bool) -> None:
        self.hold = hold
        self.opened: LedgerRow | None = None
        """The row that the journal has of it."""
        self.estimate = estimate
        self._counters = counters
        self._price = target.price
        self._cut = cut
        self._step = max(LEAST_STEP_TOKENS, estimate.expected_output_tokens // 2)
        self._top = estimate.max_output_tokens

    def covered_bytes(self) -> int:
        """Bytes of output up to which nothing need be done."""
        covered = self.estimate.expected_output_tokens
        if self._top is not None and covered >= self._top:
            return UNBOUNDED  # the request itself allows no more than is held
        return covered * BYTES_PER_TOKEN

    async def grow(self, attempt: Attempt, now_ns: int) -> bool:
        """Hold another step. False when there is no room and the stream is to be cut for it."""
        seen = -(-attempt.output_bytes // BYTES_PER_TOKEN)
        wanted = seen + self._step
        if self._top is not None:
            wanted = max(seen, min(wanted, self._top))
        larger = msgspec.structs.replace(self.estimate, expected_output_tokens=wanted)
        cost = max(self.hold.cost_nano, self._price.hold(larger, strict=False))
        tokens = max(self.hold.tokens, larger.input_tokens + wanted)
        grown = await self._counters.extend(self.hold, cost, tokens, now_ns)
        if isinstance(grown, Exhausted):
            # Asked once: a stream that may finish would ask again at every chunk.
            attempt.covered_bytes = UNBOUNDED
            return not self._cut
        self.hold, self.estimate = grown, larger
        attempt.covered_bytes = self.covered_bytes()
        return True
