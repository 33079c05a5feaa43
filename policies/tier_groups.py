"""What was worked out for a call's tiers and its target's, found by the identity of the two tuples.

They are made when a configuration is loaded, and hashing their tiers would cost more than the counting. A tuple with
a run in it is made for every call, and what belongs to it is not kept.
"""

from __future__ import annotations

from typing import Generic, TypeVar

from policies.tiers import Tier

CAPACITY = 20_000
"""Groups that are remembered; beyond it all are found anew."""

Tiers = tuple[Tier, ...]
G = TypeVar("G")


class TierGroups(Generic[G]):
    """Of one store of counters."""

    def __init__(self) -> None:
        # The tuples are kept with what belongs to them, so that no other can have their identity meanwhile.
        self._kept: dict[tuple[int, int], tuple[Tiers, Tiers, G]] = {}

    def get(self, own: Tiers, target: Tiers) -> G | None:
        found = self._kept.get((id(own), id(target)))
        return None if found is None else found[2]

    def keep(self, own: Tiers, target: Tiers, group: G) -> None:
        if any(tier.id.kind == "run" for tier in (*own, *target)):
            return
        if len(self._kept) >= CAPACITY:
            self._kept.clear()
        self._kept[id(own), id(target)] = own, target, group
