"""Stored virtual keys in a relational database (``policies.keys.KeyStore``)."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine, Row

from policies.keys import NameTaken, StoredKey
from policies.stores.tables import virtual_keys

_live = virtual_keys.c.revoked_ns.is_(None)


class RelationalKeys:
    """On SQLite or PostgreSQL."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def all(self) -> list[StoredKey]:
        query = sa.select(virtual_keys).order_by(virtual_keys.c.created_ns)
        with self._engine.connect() as connection:
            return [_key(row) for row in connection.execute(query)]

    def fingerprint(self) -> object:
        """Changes whenever a key does: how replicas notice each other's changes."""
        columns = (virtual_keys.c.created_ns, virtual_keys.c.revoked_ns, virtual_keys.c.expires_ns)
        sums = (sa.func.sum(sa.cast(column, sa.Numeric(30, 0))) for column in columns)
        with self._engine.connect() as connection:
            return tuple(connection.execute(sa.select(sa.func.count(), *sums)).one())

    def add(self, key: StoredKey) -> None:
        with self._engine.begin() as connection:
            taken = sa.select(virtual_keys.c.name).where(virtual_keys.c.name == key.name, _live)
            if connection.execute(taken.limit(1)).first() is not None:
                raise NameTaken(f"A virtual key named {key.name!r} exists.")
            _insert(connection, key)

    def revoke(self, name: str, at_ns: int) -> int:
        with self._engine.begin() as connection:
            return connection.execute(
                sa.update(virtual_keys).where(virtual_keys.c.name == name, _live).values(revoked_ns=at_ns)
            ).rowcount

    def rotate(self, name: str, old_expires_ns: int, new: StoredKey) -> None:
        earliest = sa.case(
            (virtual_keys.c.expires_ns < old_expires_ns, virtual_keys.c.expires_ns), else_=old_expires_ns
        )
        with self._engine.begin() as connection:
            connection.execute(
                sa.update(virtual_keys).where(virtual_keys.c.name == name, _live).values(expires_ns=earliest)
            )
            _insert(connection, new)


def _insert(connection: Connection, key: StoredKey) -> None:
    connection.execute(
        sa.insert(virtual_keys).values(
            name=key.name,
            scheme=key.scheme,
            digest=key.digest,
            hint=key.hint,
            team=key.team,
            customer=key.customer,
            grants=msgspec.json.encode(key.grants).decode(),
            limits=msgspec.json.encode(key.limits).decode(),
            created_ns=key.created_ns,
            expires_ns=key.expires_ns,
            revoked_ns=key.revoked_ns,
        )
    )


def _key(row: Row[Any]) -> StoredKey:
    values = dict(row._mapping)
    values["digest"] = bytes(values["digest"])
    values["grants"] = msgspec.json.decode(values["grants"])
    values["limits"] = msgspec.json.decode(values["limits"])
    return StoredKey(**values)
