"""What a model at a provider costs: the configuration's word, the operator's, or the listed price.

A listed price is resolved once, turned into exact integers, and kept for a day (prices may be conditional on the
date): the catalogue package needs 73 µs for it. It is loaded when it is first asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Literal, Protocol

from policies.grants import Grant
from policies.pricing import FREE, Price
from policies.windows import SECOND_NS
from providers.registry import Provider

UnknownPrice = Literal["deny", "estimate", "zero"]

_DAY_NS = 86_400 * SECOND_NS
_CAPACITY = 10_000


class Listings(Protocol):
    """``providers.listed_prices``."""

    def prepare(self) -> None: ...
    def models(self, provider: Provider) -> list[str]: ...
    def price(self, provider: Provider, model: str, moment: datetime) -> Price | None: ...
    def dearest(self, provider: Provider, model: str, moment: datetime) -> Price | None: ...


class PriceUnknown(Exception):
    """No price is known and the policy is to deny; the message names provider and model."""


_NO_OVERRIDES: Mapping[tuple[str, str], Price] = {}


class PriceCatalogue:
    """Resolves (provider, model) to a ``Price``. ``listings`` loads what the catalogue package lists."""

    def __init__(
        self,
        unknown: UnknownPrice,
        clock: Callable[[], int],
        listings: Callable[[], Listings],
        overrides: Mapping[tuple[str, str], Price] = _NO_OVERRIDES,
    ) -> None:
        self._overrides = overrides
        self._unknown: UnknownPrice = unknown
        self._clock = clock
        self._listings = listings
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
        listed = self._listings().price(provider, model, moment)
        if listed is not None:
            return listed
        if self._unknown == "zero":
            return Price(source="unknown", warning=f"No price is known for {provider.name}/{model}; counted as zero.")
        if self._unknown == "deny":
            raise PriceUnknown(f"No price is known for {provider.name}/{model}; set one under providers[].prices.")
        likely = self._listings().dearest(provider, model, moment)
        if likely is None:
            raise PriceUnknown(f"No price is known for {provider.name}/{model}, and none is listed to go by.")
        return likely

    def models(self, provider: Provider) -> list[str]:
        """The names of the models that ``provider`` is known to have, sorted."""
        return self._listings().models(provider)

    def must_look_up(self, provider: Provider) -> bool:
        """Whether a provider has models that only a listing prices."""
        if provider.free or provider.disabled is not None:
            return False
        return any(
            is_pattern(name) or _override(provider.prices, provider.aliases.get(name, name)) is None
            for name in provider.models.allow
        )


def is_pattern(name: str) -> bool:
    """Whether it stands for more than one model."""
    return "*" in name or "?" in name


def _override(prices: Mapping[str, Price], model: str) -> Price | None:
    exact = prices.get(model)
    if exact is not None:
        return exact
    matching = [pattern for pattern in prices if "*" in pattern and Grant.of([pattern]).allows(model)]
    return prices[max(matching, key=len)] if matching else None
