"""What the kept catalogue package (genai-prices, offline) lists: models and prices.

The package and its data take 0.3 s and 12 MB, so this module is loaded by name, where a provider has models that the
configuration does not price (``providers.price_catalogue``). Where a catalogue has no price for a kind of token, that
kind is priced as its parent: cached input as input, one-hour cache writes as cache writes, cache writes as input; the
catalogue's own arithmetic does the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import TypeAlias

from genai_prices import types as catalogue_types
from genai_prices.data_snapshot import get_snapshot

from policies.pricing import Price, Rates, per_million
from providers.registry import Provider

_Listed: TypeAlias = "Decimal | catalogue_types.TieredPrices | None"
_FALLBACK_CATALOGUE = "openai"
"""Whose dearest model stands in for a provider that the catalogue does not know."""


def prepare() -> None:
    """Read the data, which else the first question does."""
    get_snapshot()


def models(provider: Provider) -> list[str]:
    """The names of the models that are listed for ``provider``, sorted."""
    listed = _catalogue_of(provider)
    return _model_names(listed) if listed is not None else []


def price(provider: Provider, model: str, moment: datetime) -> Price | None:
    """What is listed for a model."""
    found = _find(provider, model)
    if found is None:
        return None
    source, info = found
    return Price(_steps(info.get_prices(moment)), source=f"catalogue:{source}/{info.id}")


def dearest(provider: Provider, model: str, moment: datetime) -> Price | None:
    """The dearest text model of the provider's catalogue stands in for one that is not listed: an upper estimate that
    is not absurd."""
    catalogue = _catalogue_of(provider) or _FALLBACK_CATALOGUE
    unknown = f"{provider.name}/{model}"
    best: tuple[int, str, tuple[tuple[int, Rates], ...]] | None = None
    for source in _sources(catalogue):
        for info in source.models:
            steps = _steps(info.get_prices(moment))
            weight = steps[-1][1].input + steps[-1][1].output
            if steps[0][1].output and (best is None or weight > best[0]):
                best = weight, info.id, steps
    if best is None:
        return None
    return Price(
        best[2],
        source=f"estimate:{catalogue}/{best[1]}",
        warning=f"No price is known for {unknown}; charged like {catalogue}'s dearest model {best[1]}.",
    )


@lru_cache(maxsize=64)
def _model_names(catalogue: str) -> list[str]:
    return sorted({model.id for source in _sources(catalogue) for model in source.models})


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
