"""Which targets are in trouble: a breaker for each, so that calls go elsewhere first.

Closed until ``failures`` in a row; then open for ``open_s``: the target is asked last, not never, because a gate
with one provider must not make its bad day worse. After that time one call probes it; its success closes the
breaker, its failure opens it for twice as long, up to ``LONGEST_OPEN_S``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from policies.dispatch import Target
from policies.types import FailureClass

State = Literal["closed", "open", "half_open"]
NS = 1_000_000_000
LONGEST_OPEN_S = 600.0
MOST_KNOWN = 10_000


@dataclass(frozen=True, slots=True)
class BreakerRules:
    """When it opens, and for how long (seconds)."""

    failures: int = 5
    open_s: float = 30.0


@dataclass(slots=True)
class _Breaker:
    failures: int = 0
    open_until_ns: int = 0
    open_s: float = 0.0
    probing: bool = False


Place = tuple[str, str, str]


def place_of(target: Target) -> Place:
    """Provider, key and model: a vendor may have trouble with one model, or with one key's quota."""
    return target.owner, target.account, target.name


class Breakers:
    """All breakers of one process; they outlive a reload."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._known: dict[Place, _Breaker] = {}

    def state(self, target: Target) -> State:
        breaker = self._known.get(place_of(target))
        if breaker is None or not breaker.open_until_ns:
            return "closed"
        return "open" if self._clock() < breaker.open_until_ns else "half_open"

    def preferred(self, targets: Iterable[Target]) -> tuple[list[Target], list[Target]]:
        """Those to ask now, in their order, and those to ask only when nothing else is left. The first half-open
        one is asked now, by this call alone."""
        now: list[Target] = []
        later: list[Target] = []
        for target in targets:
            state = self.state(target)
            breaker = self._known.get(place_of(target))
            if state == "closed" or (state == "half_open" and breaker is not None and not breaker.probing):
                now.append(target)
            else:
                later.append(target)
        return now, later

    def begun(self, target: Target) -> None:
        """A call leaves for ``target``: if its breaker is half open, this is the probe."""
        breaker = self._known.get(place_of(target))
        if breaker is not None and self.state(target) == "half_open":
            breaker.probing = True

    def ended(self, target: Target, failure: FailureClass | None, rules: BreakerRules) -> None:
        """How a call at ``target`` ended. What is the caller's fault, a prompt too long, or a request that the target
        cannot be asked, says nothing."""
        place = place_of(target)
        breaker = self._known.get(place)
        if failure is None:
            self._known.pop(place, None)
            return
        if failure in ("final", "context", "unsupported"):
            if breaker is not None:
                breaker.probing = False
            return
        if breaker is None:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            breaker = self._known[place] = _Breaker()
        breaker.failures += 1
        breaker.probing = False
        if breaker.failures >= rules.failures:
            breaker.open_s = min(LONGEST_OPEN_S, breaker.open_s * 2) if breaker.open_s else rules.open_s
            breaker.open_until_ns = self._clock() + int(breaker.open_s * NS)

    def report(self) -> list[dict[str, object]]:
        """Those that are not closed, for the operator."""
        now = self._clock()
        return [
            {
                "provider": owner,
                "key": account,
                "model": model,
                "state": "open" if now < breaker.open_until_ns else "half_open",
                "failures": breaker.failures,
                "probe_in_s": max(0, breaker.open_until_ns - now) // NS,
            }
            for (owner, account, model), breaker in self._known.items()
            if breaker.open_until_ns
        ]
