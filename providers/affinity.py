"""Which target served a run last: its provider has the run's prompt in its cache, so the next call goes there.

Bounded, with a time to live, within one virtual key.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from policies.dispatch import Target

TTL_NS = 3600 * 1_000_000_000
CAPACITY = 20_000

Run = tuple[str, str, str]
"""Key, run, and the model as it was asked for."""


class Affinity:
    """Of one process."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._served: OrderedDict[Run, tuple[str, str, int]] = OrderedDict()

    def remember(self, run: Run, target: Target) -> None:
        self._served[run] = target.owner, target.account, self._clock() + TTL_NS
        self._served.move_to_end(run)
        if len(self._served) > CAPACITY:
            self._served.popitem(last=False)

    def first(self, run: Run, targets: list[Target]) -> list[Target]:
        """``targets`` with the one that served the run before in front."""
        known = self._served.get(run)
        if known is None or known[2] <= self._clock():
            return targets
        return sorted(targets, key=lambda target: (target.owner, target.account) != known[:2])
