"""``/api/prices``: what models cost and where the price comes from; prices set at run time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import APIRouter, Depends

from gateway.admin.errors import AdminError
from gateway.admin.parts import Prices
from gateway.admin.security import AdminCheck
from gateway.config.providers import ModelPrice
from gateway.price_book import PriceError
from policies.pricing import NANO, Price
from providers.price_catalogue import PriceUnknown
from providers.registry import Provider
from providers.routing import Router


def router(prices: Prices, check: AdminCheck) -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix="/api/prices", tags=["prices"], dependencies=[Depends(check)])

    @routes.get("")
    async def listing(provider: str | None = None, model: str | None = None) -> dict[str, Any]:
        current = prices.router()
        found = [p for p in current.providers if provider is None or p.name == provider]
        if provider is not None and not found:
            raise AdminError(404, "unknown_provider", f"There is no provider {provider!r}.")
        return {"prices": [line for p in found for line in _lines(current, p, model)]}

    @routes.put("/{provider}/{model:path}")
    async def put(provider: str, model: str, price: ModelPrice) -> dict[str, Any]:
        try:
            await prices.book.put(provider, model, price)
        except PriceError as error:
            raise AdminError(error.status, error.code, str(error)) from None
        current = prices.router()
        return _line(provider, model, current.price(current.provider(provider), model))

    @routes.delete("/{provider}/{model:path}")
    async def delete(provider: str, model: str) -> dict[str, Any]:
        try:
            await prices.book.delete(provider, model)
        except PriceError as error:
            raise AdminError(error.status, error.code, str(error)) from None
        return {"provider": provider, "model": model}

    return routes


def _lines(router: Router, provider: Provider, model: str | None) -> Iterator[dict[str, Any]]:
    names = [model] if model is not None else sorted({*router.models_of(provider), *provider.prices} - {"*"})
    for name in names:
        try:
            yield _line(provider.name, name, router.price(provider, name))
        except PriceUnknown as error:
            yield {"provider": provider.name, "model": name, "source": None, "steps": [], "warning": str(error)}


def _line(provider: str, model: str, price: Price) -> dict[str, Any]:
    steps = [{"above_tokens": above, **_dollars(rates)} for above, rates in price.steps]
    return {
        "provider": provider,
        "model": model,
        "source": price.source,
        "warning": price.warning,
        "steps": steps,
    }


def _dollars(rates: Any) -> dict[str, str]:
    """Dollars per million tokens, exact."""
    return {name: _plain(value) for name in type(rates).__slots__ if (value := getattr(rates, name)) is not None}


def _plain(nano: int) -> str:
    whole, rest = divmod(nano, NANO)
    return f"{whole}.{f'{rest:09d}'.rstrip('0') or '0'}"
