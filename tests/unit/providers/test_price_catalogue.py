"""Listed prices are asked for only where nobody has set one."""

from __future__ import annotations

from typing import Any

import pytest

from policies.grants import Grant
from policies.pricing import Price, Rates
from providers import listed_prices
from providers.price_catalogue import PriceCatalogue, PriceUnknown
from providers.registry import Provider
from providers.routing import Router

SET = Price(((0, Rates(input=1, output=2, cache_read=1, cache_write=1, cache_write_1h=1)),), source="set")


def provider(*models: str, prices: dict[str, Price] | None = None, **more: Any) -> Provider:
    base: dict[str, Any] = {"name": "openai", "kind": "openai", "base_url": "https://api.openai.com/v1"}
    return Provider(models=Grant.of(models), prices=prices or {}, **{**base, **more})


def not_asked() -> Any:
    raise AssertionError("the listings are not needed here")


def listed() -> Any:
    return listed_prices


def test_what_is_priced_here_needs_no_listing() -> None:
    catalogue = PriceCatalogue("deny", lambda: 0, not_asked, {("openai", "b"): SET})
    priced = provider("a", "b", prices={"a": SET})
    assert catalogue.price(priced, "a") is SET
    assert catalogue.price(priced, "b") is SET
    assert catalogue.price(provider("*", free=True), "x").source == "free"
    assert Router([priced], catalogue).models_of(priced) == {"a", "b"}


@pytest.mark.parametrize(
    ("entry", "needed"),
    [
        (provider("a", prices={"a": SET}), False),
        (provider("a", "b", prices={"*": SET}), False),
        (provider("*", free=True), False),
        (provider("*", disabled="OPENAI_API_KEY is not set"), False),
        (provider("mine", prices={"theirs": SET}, aliases={"mine": "theirs"}), False),
        (provider("a", "b", prices={"a": SET}), True),
        (provider("gpt-*", prices={"gpt-4o": SET}), True),
    ],
)
def test_a_listing_is_needed_where_a_model_has_no_price(entry: Provider, needed: bool) -> None:
    assert PriceCatalogue("deny", lambda: 0, not_asked).must_look_up(entry) is needed


def test_a_listed_model_has_its_price_and_another_the_dearest_or_none() -> None:
    openai = provider("*")
    assert PriceCatalogue("deny", lambda: 0, listed).price(openai, "gpt-4o").source == "catalogue:openai/gpt-4o"
    likely = PriceCatalogue("estimate", lambda: 0, listed).price(openai, "nobody-knows")
    assert likely.source.startswith("estimate:openai/")
    with pytest.raises(PriceUnknown, match="openai/nobody-knows"):
        PriceCatalogue("deny", lambda: 0, listed).price(openai, "nobody-knows")
