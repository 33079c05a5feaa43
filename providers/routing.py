"""Which provider serves a model, for which key: patterns, weights, literal names, deny by default.

The most specific matching pattern wins: an exact name before a glob, a longer glob before a shorter
one, and a provider that matches only by ``*`` serves a name when no other does. Weights apply among
equals. In ``a/b`` the part before the first ``/`` is a provider only if one has that name.

A route is resolved once per (key, model) and kept; only the weighted pick is made per call.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from policies.admission import Subject
from policies.dispatch import Target
from policies.grants import Grant
from policies.identity import VirtualKey
from policies.pricing import Price
from policies.refusals import model_not_allowed, no_provider, price_unknown, service_unavailable
from policies.types import Refusal
from providers.price_catalogue import PriceCatalogue, PriceUnknown, is_pattern
from providers.registry import Provider
from providers.services import Service

_CAPACITY = 10_000
_LISTED = 100
_ANYTHING = (0, 0)
"""The specificity of ``*``."""

Specificity = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Route:
    """Targets that serve a model equally well, with their weights."""

    targets: tuple[Target, ...]
    weights: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Candidate:
    """Why one provider is or is not taken, for ``explain``."""

    provider: str
    model: str
    taken: bool
    reason: str


class Router:
    """Routes of one configuration; replaced whole on reload."""

    def __init__(
        self,
        providers: Iterable[Provider],
        catalogue: PriceCatalogue,
        fallbacks: Sequence[tuple[Grant, tuple[str, ...]]] = (),
        pick: Callable[[], float] = random.random,
    ) -> None:
        self._providers = {provider.name: provider for provider in providers}
        self.passes_credentials = any(one.auth == "passthrough" for one in self._providers.values())
        """A caller's own credential may decide what it is answered."""
        self._catalogue = catalogue
        self._fallbacks = fallbacks
        self._pick = pick
        self._kept: dict[tuple[VirtualKey, str, Service], Route | Refusal] = {}

    def provider(self, name: str) -> Provider:
        return self._providers[name]

    def price(self, provider: Provider, model: str) -> Price:
        """What a call of ``model`` at ``provider`` is charged by. Raises ``PriceUnknown``."""
        return self._catalogue.price(provider, model)

    @property
    def providers(self) -> Iterable[Provider]:
        return self._providers.values()

    @property
    def must_look_up(self) -> bool:
        """Whether prices are needed that nobody has set."""
        return any(self._catalogue.must_look_up(provider) for provider in self._providers.values())

    def fallbacks(self, model: str) -> tuple[str, ...]:
        """Models to try in order when every target of ``model`` has failed: the most specific pattern's."""
        if not self._fallbacks:
            return ()
        return next((names for grant, names in self._fallbacks if grant.allows(model)), ())

    def route(self, key: VirtualKey, model: str, service: Service) -> Sequence[Target] | Refusal:
        """Targets for ``model``, best first, or why there is none."""
        known = (key, model, service)
        found = self._kept.get(known)
        if found is None:
            if len(self._kept) >= _CAPACITY:
                self._kept.clear()
            found = self._kept[known] = self._resolve(key, model, service)
        if isinstance(found, Refusal):
            return found
        if len(found.targets) == 1:
            return found.targets
        return _weighted(found, self._pick)

    def models(self, key: VirtualKey) -> list[str]:
        """The names of the models that ``key`` may use, sorted. A pattern is expanded with the
        catalogue's models of its provider."""
        names: set[str] = set()
        for provider in self._providers.values():
            if provider.disabled is not None:
                continue
            named = self.models_of(provider)
            names.update(m for m in named if key.grants.allows("model", provider.name, m))
        return sorted(names)

    def models_of(self, provider: Provider) -> set[str]:
        """The names that the operator allowed, and those that a pattern of his stands for."""
        literal = {name for name in provider.models.allow if not is_pattern(name)}
        if len(literal) == len(provider.models.allow):
            return literal
        return {*literal, *(m for m in self._catalogue.models(provider) if provider.models.allows(m))}

    def explain(self, key: VirtualKey, model: str) -> list[Candidate]:
        """Every provider and why it would or would not serve ``model``."""
        named, upstream = self._named(model)
        found: list[Candidate] = []
        for provider in [named] if named else self._providers.values():
            decision = key.grants.decide(Subject("model", provider.name, upstream))
            if not provider.models.allows(upstream):
                verdict, reason = False, f"the provider's allowed_models do not include {upstream!r}"
            elif not decision.allowed:
                verdict, reason = False, decision.reason
            elif provider.disabled is not None:
                verdict, reason = False, f"disabled: {provider.disabled}"
            else:
                verdict, reason = True, decision.reason
            found.append(Candidate(provider.name, upstream, verdict, reason))
        return found

    def _named(self, model: str) -> tuple[Provider | None, str]:
        head, slash, rest = model.partition("/")
        provider = self._providers.get(head) if slash else None
        return (provider, rest) if provider is not None else (None, model)

    def _resolve(self, key: VirtualKey, model: str, service: Service) -> Route | Refusal:
        named, upstream = self._named(model)
        pool = [named] if named is not None else list(self._providers.values())
        admitted = [
            (provider, specificity)
            for provider in pool
            if (specificity := _specificity(provider.models, upstream)) is not None
            and key.grants.allows("model", provider.name, upstream)
        ]
        if not admitted:
            return model_not_allowed(model, self.models(key)[:_LISTED])
        serving = [(p, s) for p, s in admitted if p.serves(service, p.aliases.get(upstream, upstream))]
        if not serving:
            return service_unavailable(model, service, sorted(p.name for p, _ in admitted))
        best = max(specificity for _, specificity in serving)
        named_best = [provider for provider, specificity in serving if specificity == best]
        if best == _ANYTHING:
            named_best = self._likeliest(named_best, upstream, service)
        chosen = [provider for provider in named_best if provider.disabled is None]
        if not chosen:
            # Not the next best: a name that a disabled provider claims would land somewhere unmeant.
            return no_provider(model, [f"{p.name}: {p.disabled}" for p in named_best])
        try:
            return self._targets(key, chosen, upstream)
        except PriceUnknown as error:
            return price_unknown(model, str(error))

    def _likeliest(self, providers: list[Provider], model: str, service: Service) -> list[Provider]:
        """Of providers that all take any name: those of the dialect whose vendor is known to have the model; if none
        is known, those that answer without translation. A file that names no models must not send ``gpt-4o`` to
        Anthropic."""
        kinds = {provider.kind_of(model) for provider in providers}
        if len(kinds) == 1:
            return providers
        known = {provider.kind_of(model) for provider in providers if model in self._catalogue.models(provider)}
        chosen = [p for p in providers if p.kind_of(model) in known] or [
            p for p in providers if p.speaks(service, model)
        ]
        return chosen or providers

    def _targets(self, key: VirtualKey, chosen: Sequence[Provider], model: str) -> Route:
        """Every key of every provider; a provider's weight is shared among its keys."""
        targets: list[Target] = []
        weights: list[float] = []
        for provider in chosen:
            own = key.provider_tiers.get(provider.name)
            tiers = (*provider.tiers, own) if own is not None else provider.tiers
            name = provider.aliases.get(model, model)
            price = self._catalogue.price(provider, name)
            usable = [k for k in provider.keys if k.models is None or k.models.allows(model)] or provider.keys
            weight = key.provider_weights.get(provider.name, provider.weight)
            share = weight / sum(k.weight for k in usable)
            targets += (Target(provider.name, name, price, tiers, k.name) for k in usable)
            weights += (share * k.weight for k in usable)
        return Route(tuple(targets), tuple(weights))


def _specificity(models: Grant, name: str) -> Specificity | None:
    """How precisely the best matching pattern names ``name``: (exact or not, literal characters)."""
    if not models.allows(name):
        return None
    matching = [pattern for pattern in models.allow if Grant.of([pattern]).allows(name)]
    return max((int(p == name), sum(c not in "*?" for c in p)) for p in matching)


def _weighted(route: Route, pick: Callable[[], float]) -> Sequence[Target]:
    """One target by weight, the others behind it in configured order."""
    total = sum(route.weights)
    mark = pick() * total
    for index, weight in enumerate(route.weights):
        mark -= weight
        if mark < 0:
            return (route.targets[index], *route.targets[:index], *route.targets[index + 1 :])
    return route.targets
