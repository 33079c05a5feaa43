"""Prices from the kept catalogue package (genai-prices, offline), overridden by the configuration.

A call of genai-prices costs 73 µs, so a model's rates are resolved once, turned into exact integers,
and kept for a day (prices may be conditional on the date). Where a catalogue has no price for a kind
of token, that kind is priced as its parent: cached input as input, one-hour cache writes as cache
writes, cache writes as input; the catalogue's own arithmetic does the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Literal, TypeAlias

from genai_prices import types as catalogue_types
from genai_prices.data_snapshot import get_snapshot

from policies.grants import Grant
from policies.pricing import FREE, Price, Rates, per_million
from policies.windows import SECOND_NS
from providers.registry import Provider

UnknownPrice = Literal["deny", "estimate", "zero"]
_Listed: TypeAlias = "Decimal | catalogue_types.TieredPrices | None"

_DAY_NS = 86_400 * SECOND_NS
_CAPACITY = 10_000
_FALLBACK_CATALOGUE = "openai"
"""Whose dearest model stands in for a provider that the catalogue does not know."""


class PriceUnknown(Exception):
    """No price is known and the policy is to deny; the message names provider and model."""


_NO_OVERRIDES: Mapping[tuple[str, str], Price] = {}


class PriceCatalogue:
    """Resolves (provider, model) to a ``Price``."""

    def __init__(
        self,
        unknown: UnknownPrice,
        clock: Callable[[], int],
        overrides: Mapping[tuple[str, str], Price] = _NO_OVERRIDES,
    ) -> None:
        self._overrides = overrides
        self._unknown: UnknownPrice = unknown
        self._clock = clock
        self._kept: dict[tuple[str, str], Price] = {}
        self._day = 0

    def price(self, provider: Provider, model: str) -> Price:
        """The price of ``model`` at ``provider``. Raises ``PriceUnknown``."""
        now = self._clock()
        if now // _DAY_NS != self._day or len(self._kept) >= _CAPACITY:
            self._kept.clear()
            self._day = now // _DAY_NS
        found = self._kept.get((provider.name, model))
        if found is None:
            found = self._kept[provider.name, model] = self._resolve(provider, model, now)
        return found

    def _resolve(self, provider: Provider, model: str, now_ns: int) -> Price:
        if provider.free:
            return FREE
        override = _override(provider.prices, model)
        if override is not None:
            return override
        set_here = self._overrides.get((provider.name, model))
        if set_here is not None:
            return set_here
        moment = datetime.fromtimestamp(now_ns // SECOND_NS, UTC)
        listed = _find(provider, model)
        if listed is not None:
            source, info = listed
            return Price(_steps(info.get_prices(moment)), source=f"catalogue:{source}/{info.id}")
        if self._unknown == "zero":
            return Price(source="unknown", warning=f"No price is known for {provider.name}/{model}; counted as zero.")
        if self._unknown == "deny":
            raise PriceUnknown(f"No price is known for {provider.name}/{model}; set one under providers[].prices.")
        return _dearest(_catalogue_of(provider) or _FALLBACK_CATALOGUE, f"{provider.name}/{model}", moment)


def known_models(provider: Provider) -> list[str]:
    """The names of the models that the catalogue lists for ``provider``, sorted."""
    listed = _catalogue_of(provider)
    return _model_names(listed) if listed is not None else []


@lru_cache(maxsize=64)
def _model_names(catalogue: str) -> list[str]:
    return sorted({model.id for source in _sources(catalogue) for model in source.models})


def _override(prices: Mapping[str, Price], model: str) -> Price | None:
    exact = prices.get(model)
    if exact is not None:
        return exact
    matching = [pattern for pattern in prices if "*" in pattern and Grant.of([pattern]).allows(model)]
    return prices[max(matching, key=len)] if matching else None


def _sources(catalogue: str) -> Iterator[catalogue_types.Provider]:
    return (source for source in get_snapshot().providers if source.id == catalogue)


def _catalogue_of(provider: Provider) -> str | None:
    """Which catalogue lists this provider's models: by its address, or by its name."""
    for source in get_snapshot().providers:
        if source.api_pattern and re.match(source.api_pattern, provider.base_url):
            return source.id
    return next((source.id for source in _sources(provider.name)), None)


def _find(provider: Provider, model: str) -> tuple[str, catalogue_types.ModelInfo] | None:
    catalogue = _catalogue_of(provider)
    if catalogue is None:
        return None
    try:
        source, info = get_snapshot().find_provider_model(model, None, catalogue, None)
    except LookupError:
        return None
    return source.id, info


def _dearest(catalogue: str, unknown: str, moment: datetime) -> Price:
    """The dearest text model of a catalogue: an upper estimate that is not absurd."""
    best: tuple[int, str, tuple[tuple[int, Rates], ...]] | None = None
    for source in _sources(catalogue):
        for info in source.models:
            steps = _steps(info.get_prices(moment))
            weight = steps[-1][1].input + steps[-1][1].output
            if steps[0][1].output and (best is None or weight > best[0]):
                best = weight, info.id, steps
    if best is None:
        raise PriceUnknown(f"No price is known for {unknown}, and the catalogue {catalogue!r} lists none to go by.")
    return Price(
        best[2],
        source=f"estimate:{catalogue}/{best[1]}",
        warning=f"No price is known for {unknown}; charged like {catalogue}'s dearest model {best[1]}.",
    )


def _steps(prices: catalogue_types.ModelPrice) -> tuple[tuple[int, Rates], ...]:
    """All steps of a model's prices; the whole call is priced by the highest one its prompt exceeds."""
    starts = {0}
    for listed in prices.__dict__.values():
        if isinstance(listed, catalogue_types.TieredPrices):
            starts.update(tier.start for tier in listed.tiers)
    return tuple((start, _rates(prices, start)) for start in sorted(starts))


def _rates(prices: catalogue_types.ModelPrice, start: int) -> Rates:
    def at(name: str) -> int | None:
        listed: _Listed = getattr(prices, name)
        if isinstance(listed, catalogue_types.TieredPrices):
            applicable = [tier.price for tier in listed.tiers if tier.start <= start]
            listed = applicable[-1] if applicable else listed.base
        return None if listed is None else per_million(listed)

    plain = at("input_mtok") or 0
    cache_read, cache_write, cache_write_1h = at("cache_read_mtok"), at("cache_write_mtok"), at("cache_write_1h_mtok")
    write = plain if cache_write is None else cache_write
    return Rates(
        input=plain,
        output=at("output_mtok") or 0,
        cache_read=plain if cache_read is None else cache_read,
        cache_write=write,
        cache_write_1h=write if cache_write_1h is None else cache_write_1h,
        input_audio=at("input_audio_mtok"),
        output_audio=at("output_audio_mtok"),
    )
