"""Prices that the operator set at run time, in a relational database."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from policies.stores.tables import prices

Rates = Mapping[str, str]
"""Dollars per million tokens by field name, as exact text."""

_decode = msgspec.json.Decoder(dict[str, str]).decode


class RelationalPrices:
    """On SQLite or PostgreSQL."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def all(self) -> dict[tuple[str, str], dict[str, str]]:
        """By provider and model."""
        with self._engine.connect() as connection:
            found = connection.execute(sa.select(prices.c.provider, prices.c.model, prices.c.rates)).all()
        return {(provider, model): _decode(rates) for provider, model, rates in found}

    def put(self, provider: str, model: str, rates: Rates, at_ns: int) -> None:
        """Set a price, whether there was one or not."""
        with self._engine.begin() as connection:
            connection.execute(sa.delete(prices).where(prices.c.provider == provider, prices.c.model == model))
            text = msgspec.json.encode(dict(rates)).decode()
            values = {"provider": provider, "model": model, "rates": text, "changed_ns": at_ns}
            connection.execute(sa.insert(prices).values(**values))

    def delete(self, provider: str, model: str) -> bool:
        """Whether there was one."""
        with self._engine.begin() as connection:
            gone = connection.execute(
                sa.delete(prices).where(prices.c.provider == provider, prices.c.model == model)
            ).rowcount
        return gone > 0

    def fingerprint(self) -> object:
        """Changes whenever a price does."""
        with self._engine.connect() as connection:
            return tuple(connection.execute(sa.select(sa.func.count(), sa.func.max(prices.c.changed_ns))).one())
