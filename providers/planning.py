"""Plans where a call goes: the asked model's targets, its fallbacks', the run's last target first, those in trouble
last."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from policies.dispatch import Target
from policies.identity import VirtualKey
from policies.types import Refusal
from providers.affinity import Affinity
from providers.breaker import Breakers
from providers.itinerary import Itinerary, RetryRules
from providers.routing import Router
from providers.services import Service

MOST_FALLBACKS = 8


@dataclass(frozen=True, slots=True)
class TargetHealth:
    """What this process has seen of its targets; it outlives a reload."""

    breakers: Breakers
    affinity: Affinity


class RouteRequest(msgspec.Struct, frozen=True):
    """Who wants to go where: made for every call."""

    key: VirtualKey
    model: str
    service: Service
    fallbacks: tuple[str, ...] = ()
    """Of the caller's own choice."""
    run: str | None = None


def itinerary(
    router: Router,
    health: TargetHealth,
    wanted: RouteRequest,
    first: Sequence[Target] | Refusal,
    rules: Callable[[str], RetryRules],
) -> Itinerary | Refusal:
    """The plan, or why there is none: ``first`` is what the router said of the asked model. A fallback that the key
    may not use, or that nobody serves, is left out."""
    key, model = wanted.key, wanted.model
    if isinstance(first, Refusal) and first.kind == "permission":
        return first
    names = (*wanted.fallbacks, *router.fallbacks(model))[:MOST_FALLBACKS]
    if not isinstance(first, Refusal) and len(first) == 1 and not names:
        return Itinerary((first,), rules, first)  # nothing to put in order
    groups: list[list[Target]] = []
    asked: list[Target] = []
    if not isinstance(first, Refusal):
        asked = list(first)
        if wanted.run is not None and len(asked) > 1:
            asked = health.affinity.first((key.principal.key, wanted.run, model), asked)
        groups.append(asked)
    for name in dict.fromkeys(names):
        found = router.route(key, name, wanted.service) if name != model else first
        if not isinstance(found, Refusal) and found is not first:
            groups.append(list(found))
    if not groups:
        return first if isinstance(first, Refusal) else Itinerary((), rules)
    return Itinerary(_healthy_first(groups, health.breakers), rules, asked)


def _healthy_first(groups: list[list[Target]], breakers: Breakers) -> list[list[Target]]:
    """Targets in trouble after all others, in a group of their own."""
    preferred: list[list[Target]] = []
    troubled: list[Target] = []
    for group in groups:
        now, later = breakers.preferred(group)
        if now:
            preferred.append(now)
        troubled += later
    return [*preferred, troubled] if troubled else preferred
