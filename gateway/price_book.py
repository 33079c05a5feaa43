"""Prices set at run time, beside those of the file and the catalogue.

One owner per object (law 9): what the file prices for a provider cannot be set here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from decimal import Decimal

from gateway.compile import price_of
from gateway.config.models import Config
from gateway.config.providers import ModelPrice
from policies.pricing import Price
from policies.stores.prices import RelationalPrices


class PriceError(Exception):
    """A price that cannot be set. ``status`` is the HTTP status that fits."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class PriceBook:
    """``changed`` is called after every change that acts on the next call."""

    def __init__(self, store: RelationalPrices, clock: Callable[[], int], changed: Callable[[], None]) -> None:
        self._store = store
        self._clock = clock
        self._changed = changed
        self._config = Config()
        self.overrides: Mapping[tuple[str, str], Price] = {}

    def load(self, config: Config) -> None:
        """Take the stored prices anew. Blocking: at start and on reload."""
        self._config = config
        self.overrides = self._read()

    async def put(self, provider: str, model: str, price: ModelPrice) -> None:
        """Set a price; it acts on the next call. Raises ``PriceError``."""
        self._own(provider, model)
        rates = {name: str(dollars) for name, dollars in price if isinstance(dollars, Decimal)}
        await asyncio.to_thread(self._store.put, provider, model, rates, self._clock())
        await self.refresh()

    async def delete(self, provider: str, model: str) -> None:
        """Go back to the catalogue's price. Raises ``PriceError``."""
        self._own(provider, model)
        if not await asyncio.to_thread(self._store.delete, provider, model):
            raise PriceError(404, "unknown_price", f"No price was set for {provider}/{model}.")
        await self.refresh()

    async def refresh(self) -> None:
        self.overrides = await asyncio.to_thread(self._read)
        self._changed()

    def _read(self) -> dict[tuple[str, str], Price]:
        stored = self._store.all()
        return {
            place: price_of(ModelPrice.model_validate(rates), source="set by the operator")
            for place, rates in stored.items()
        }

    def _own(self, provider: str, model: str) -> None:
        entry = next((p for p in self._config.providers if p.name == provider), None)
        if entry is None:
            raise PriceError(404, "unknown_provider", f"There is no provider {provider!r}.")
        if entry.prices == "free" or (isinstance(entry.prices, dict) and model in entry.prices):
            raise PriceError(
                409, "owned_by_file", f"The configuration file prices {provider}/{model}: change it there."
            )
