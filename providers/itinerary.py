"""Where one call goes, and where it goes next when it fails.

Targets stand in groups: those of the asked model, then those of each fallback. Within a group every target is tried
once, without a pause; then again, after a pause, as often as the provider's ``retries`` allow; then the next group.
What helps depends on the failure (``providers.failures``).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from policies.dispatch import Following, Target
from policies.types import Outcome

MOST_ATTEMPTS = 12
"""Of one call, over all targets: what a long list of fallbacks may cost."""
LONGEST_WAIT_S = 30.0
"""An upstream that asks for a longer pause is not waited for."""


@dataclass(frozen=True, slots=True)
class RetryRules:
    """How often one target is tried again, and the pause before (seconds): doubled each time, up to ``longest_s``,
    with jitter."""

    again: int = 0
    first_s: float = 0.5
    longest_s: float = 5.0


class Itinerary:
    """Made when a call is routed; it remembers what was tried."""

    __slots__ = ("_attempts", "_dead", "_dice", "_groups", "_own", "_rules", "_tried")

    def __init__(
        self,
        groups: Sequence[Sequence[Target]],
        rules: Callable[[str], RetryRules],
        own: Sequence[Target] = (),
        dice: Callable[[], float] = random.random,
    ) -> None:
        self._own = own
        self._groups = groups
        self._rules = rules
        self._dice = dice
        self._tried: dict[Target, int] = {}
        self._dead: set[tuple[str, str]] = set()
        self._attempts = 0

    @property
    def targets(self) -> Sequence[Target]:
        """All of them, best first."""
        if len(self._groups) == 1:
            return self._groups[0]
        return [target for group in self._groups for target in group]

    def is_fallback(self, target: Target) -> bool:
        """It is another model than the one that was asked for."""
        return target not in self._own

    def following(self, target: Target, outcome: Outcome) -> Following | None:
        """Where to go after ``outcome`` at ``target``; ``None``: that is the end."""
        failure = outcome.failure
        if failure is None or failure == "final":
            return None
        self._attempts += 1
        if self._attempts >= MOST_ATTEMPTS:
            return None
        self._tried[target] = self._tried.get(target, 0) + 1
        if failure == "credentials":
            self._dead.add((target.owner, target.account))
        at = next((n for n, group in enumerate(self._groups) if target in group), len(self._groups))
        if failure != "context":
            found = self._within(self._groups[at], target, outcome) if at < len(self._groups) else None
            if found is not None:
                return found
        later = [t for group in self._groups[at + 1 :] for t in group if self._usable(t)]
        return Following(later, reason="fallback") if later else None

    def _within(self, group: Sequence[Target], target: Target, outcome: Outcome) -> Following | None:
        """Another target of the same model, or the same ones again."""
        fresh = [t for t in group if t not in self._tried and self._usable(t)]
        if fresh:
            if outcome.failure == "rate":
                # Another key of the same provider: what it has cached for the caller is there.
                fresh.sort(key=lambda t: t.owner != target.owner)
            same = fresh[0].owner == target.owner
            return Following(fresh, reason="other_key" if same else "other_target")
        if outcome.failure == "unsupported":
            return None  # asking the same targets again changes nothing
        again = [t for t in group if self._usable(t) and self._tried[t] <= self._rules(t.owner).again]
        if not again:
            return None
        # The least tried first, and of those the one that failed last last.
        again.sort(key=lambda t: (self._tried[t], t is target))
        pause_s = self._pause_s(again[0], outcome)
        return None if pause_s is None else Following(again, pause_s, "retry")

    def _usable(self, target: Target) -> bool:
        return (target.owner, target.account) not in self._dead

    def _pause_s(self, target: Target, outcome: Outcome) -> float | None:
        rules = self._rules(target.owner)
        asked = outcome.retry_after_s
        if asked is not None:
            return asked if asked <= LONGEST_WAIT_S else None
        pause = min(rules.longest_s, rules.first_s * 2.0 ** (self._tried[target] - 1))
        return float(pause * (0.8 + 0.4 * self._dice()))
