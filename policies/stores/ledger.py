"""The ledger in a relational database (``policies.ledger_queries.LedgerStore``).

A row and its share of the daily sums are one transaction, and a row that is there already is passed over:
however often a batch is replayed, it counts once.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine, Row
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from policies.ledger import LedgerRow, requests_of, tokens_of
from policies.ledger_queries import (
    GroupBy,
    InvalidCursor,
    LedgerFilter,
    Page,
    RunUse,
    StoreUnavailable,
    Total,
    UsageSum,
)
from policies.stores.engine import inserting
from policies.stores.tables import ledger, usage_daily
from policies.windows import SECOND_NS, day_of

MAX_PAGE = 1_000
DAY_NS = 86_400 * SECOND_NS
ROWS_AT_ONCE = 50
"""Rows of one INSERT. A driver gives the interpreter's lock away in every statement; a statement per row would hand it
to and fro between the writer's thread and the calls, which costs both more than the rows."""

_ALL_OR_NONE = " OR ROLLBACK"
"""A row that is there already ends the transaction, and not the statement alone. For the latter, which is its default,
SQLite keeps a journal of every page that the statement changes, in a file of its own: four times as many writes as the
rows themselves (https://www.sqlite.org/tempfiles.html, "Statement Journal Files")."""

_COLUMNS = LedgerRow.__struct_fields__
"""``tiers`` is the last."""
_SUMS = ("cost_nano", "tokens", "requests")
_ORDER = (ledger.c.started_ns, ledger.c.call_id, ledger.c.attempt)
_TOKENS = (
    ledger.c.input_tokens + ledger.c.cache_read_tokens + ledger.c.cache_write_tokens + ledger.c.cache_write_1h_tokens
)
_tiers = msgspec.json.Decoder(tuple[str, ...]).decode


class RelationalLedger:
    """On SQLite or PostgreSQL."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        lite = engine.dialect.name == "sqlite"
        mark = "?" if lite else "%s"
        names = ", ".join(map(engine.dialect.identifier_preparer.quote, _COLUMNS))
        marks = f"({', '.join([mark] * len(_COLUMNS))})"
        # The driver's own statement: SQLAlchemy's costs as much CPU per row as the rest of a call's accounting.
        verb = f"INSERT{_ALL_OR_NONE if lite else ''} INTO ledger"
        self._append = f"{verb} ({names}) VALUES {marks}"
        self._append_many = f"{self._append}{f', {marks}' * (ROWS_AT_ONCE - 1)}"
        insert = inserting(engine)(usage_daily)
        self._upsert = insert.on_conflict_do_update(
            index_elements=[usage_daily.c.tier, usage_daily.c.day],
            set_={name: usage_daily.c[name] + insert.excluded[name] for name in _SUMS},
        )

    def write(self, rows: Sequence[LedgerRow]) -> int:
        try:
            try:
                self._write_fresh(rows)
                return len(rows)
            except IntegrityError:  # a batch that is written again; hardly ever, so it is not looked for before
                with self._engine.begin() as connection:
                    fresh = self._unknown(connection, rows)
                    self._insert_rows(connection, fresh)
                return len(fresh)
        except SQLAlchemyError as error:
            raise StoreUnavailable(str(getattr(error, "orig", None) or error)) from None

    def _write_fresh(self, rows: Sequence[LedgerRow]) -> None:
        """All rows or none. Raises ``IntegrityError`` if one is there already."""
        with self._engine.begin() as connection:
            self._insert_rows(connection, rows)

    def _insert_rows(self, connection: Connection, rows: Sequence[LedgerRow]) -> None:
        whole = len(rows) - len(rows) % ROWS_AT_ONCE
        for at in range(0, whole, ROWS_AT_ONCE):
            values = tuple(chain.from_iterable(map(_parameters, rows[at : at + ROWS_AT_ONCE])))
            connection.exec_driver_sql(self._append_many, values)
        if whole < len(rows):
            connection.exec_driver_sql(self._append, [_parameters(row) for row in rows[whole:]])
        self._add_usage(connection, rows)

    def page(self, wanted: LedgerFilter, cursor: str | None, limit: int, *, newest_first: bool) -> Page:
        query = sa.select(ledger).where(*_conditions(wanted))
        if cursor is not None:
            mark = sa.tuple_(*(sa.literal(value) for value in _read_cursor(cursor)))
            here = sa.tuple_(*_ORDER)
            query = query.where(here < mark if newest_first else here > mark)
        order = [column.desc() for column in _ORDER] if newest_first else list(_ORDER)
        size = max(1, min(limit, MAX_PAGE))
        with self._engine.connect() as connection:
            found = connection.execute(query.order_by(*order).limit(size + 1)).all()
        rows = [_row(entry) for entry in found[:size]]
        return Page(rows, _cursor(rows[-1]) if len(found) > size else None)

    def totals(self, wanted: LedgerFilter, group: GroupBy) -> list[Total]:
        label = _group_column(group)
        cost = sa.func.sum(ledger.c.cost_nano)
        query = (
            sa.select(
                label,
                sa.func.count(),
                sa.func.sum(sa.case((ledger.c.outcome == "refused", 1), else_=0)),
                sa.func.sum(sa.case((ledger.c.outcome == "failed", 1), else_=0)),
                sa.func.sum(_TOKENS),
                sa.func.sum(ledger.c.output_tokens),
                cost,
                sa.func.sum(sa.case((ledger.c.outcome == "cached", 1), else_=0)),
                sa.func.sum(ledger.c.saved_nano),
            )
            .where(*_conditions(wanted))
            .group_by(label)
            .order_by(cost.desc())
        )
        with self._engine.connect() as connection:
            found = connection.execute(query).all()
        return [Total(_label(group, row[0]), *(int(value or 0) for value in row[1:])) for row in found if row[1]]

    def run_rows(self, run: str, limit: int) -> list[LedgerRow]:
        query = sa.select(ledger).where(ledger.c.run == run).order_by(*_ORDER).limit(limit)
        with self._engine.connect() as connection:
            return [_row(entry) for entry in connection.execute(query)]

    def recent(self, since_ns: int) -> list[LedgerRow]:
        query = sa.select(ledger).where(ledger.c.started_ns >= since_ns).order_by(*_ORDER)
        with self._engine.connect() as connection:
            return [_row(entry) for entry in connection.execute(query)]

    def usage_since(self, day: str) -> list[UsageSum]:
        query = sa.select(usage_daily).where(usage_daily.c.day >= day)
        with self._engine.connect() as connection:
            return [UsageSum(*row) for row in connection.execute(query)]

    def run_use(self, since_ns: int) -> list[RunUse]:
        named = (ledger.c.key.is_not(None), ledger.c.run.is_not(None), ledger.c.attempt == 1)
        active = sa.select(ledger.c.run).where(ledger.c.started_ns >= since_ns, *named).distinct()
        charged = ledger.c.tiers != "[]"

        def calls(kind: str) -> sa.ColumnElement[int]:
            first = sa.and_(ledger.c.kind == kind, ledger.c.attempt == 1, charged)
            return sa.func.sum(sa.case((first, 1), else_=0))

        query = (
            sa.select(
                ledger.c.key,
                ledger.c.run,
                sa.func.min(ledger.c.started_ns),
                sa.func.sum(ledger.c.cost_nano),
                calls("tool"),
                calls("model"),
            )
            .where(ledger.c.run.in_(active), ledger.c.key.is_not(None))
            .group_by(ledger.c.key, ledger.c.run)
        )
        with self._engine.connect() as connection:
            return [RunUse(row[0], row[1], *map(int, row[2:])) for row in connection.execute(query)]

    def delete_beyond(self, rows: int, limit: int) -> int:
        with self._engine.begin() as connection:
            excess = (connection.execute(sa.select(sa.func.count()).select_from(ledger)).scalar() or 0) - rows
            if excess <= 0:
                return 0
            oldest = sa.select(*_ORDER).order_by(*_ORDER).limit(min(excess, limit)).subquery()
            return connection.execute(
                sa.delete(ledger).where(
                    sa.tuple_(ledger.c.call_id, ledger.c.attempt).in_(sa.select(oldest.c.call_id, oldest.c.attempt))
                )
            ).rowcount

    def delete_before(self, started_ns: int, limit: int) -> int:
        old = sa.select(ledger.c.call_id).where(ledger.c.started_ns < started_ns).limit(limit)
        with self._engine.begin() as connection:
            return connection.execute(
                sa.delete(ledger).where(ledger.c.call_id.in_(old), ledger.c.started_ns < started_ns)
            ).rowcount

    def close(self) -> None:
        self._engine.dispose()

    def _unknown(self, connection: Connection, rows: Sequence[LedgerRow]) -> list[LedgerRow]:
        """The rows that the ledger lacks, each once."""
        ids = [row.call_id for row in rows]
        query = sa.select(ledger.c.call_id, ledger.c.attempt).where(ledger.c.call_id.in_(ids))
        known = {(found[0], found[1]) for found in connection.execute(query)}
        fresh: list[LedgerRow] = []
        for row in rows:
            if (row.call_id, row.attempt) not in known:
                known.add((row.call_id, row.attempt))
                fresh.append(row)
        return fresh

    def _add_usage(self, connection: Connection, rows: Iterable[LedgerRow]) -> None:
        sums: dict[tuple[str, str], list[int]] = {}
        for group in _groups(rows):
            day = day_of(group.one.started_ns)
            for tier in group.one.tiers:
                entry = sums.setdefault((tier, day), [0, 0, 0])
                entry[0] += group.cost_nano
                entry[1] += group.tokens
                entry[2] += group.rows * requests_of(group.one, tier)
        if not sums:
            return
        values = [
            {"tier": tier, "day": day, **dict(zip(_SUMS, entry, strict=True))}
            for (tier, day), entry in sorted(
                sums.items()
            )  # one order for all: two processes cannot wait for each other
        ]
        connection.execute(self._upsert, values)


class _Group:
    """Rows that the same tiers are charged for on the same day, and that count as the same number of requests."""

    __slots__ = ("cost_nano", "one", "rows", "tokens")

    def __init__(self, one: LedgerRow) -> None:
        self.one = one
        self.rows = self.cost_nano = self.tokens = 0


def _groups(rows: Iterable[LedgerRow]) -> Collection[_Group]:
    """A batch is a thousand rows of a few keys: to add them up tier by tier took as long as to insert them."""
    found: dict[tuple[Any, ...], _Group] = {}
    for row in rows:
        # What ``requests_of`` looks at, and what the sums are kept by.
        alike = row.tiers, row.started_ns // DAY_NS, row.kind, row.outcome, row.attempt == 1
        group = found.get(alike)
        if group is None:
            group = found[alike] = _Group(row)
        group.rows += 1
        group.cost_nano += row.cost_nano
        group.tokens += tokens_of(row)
    return found.values()


def _parameters(row: LedgerRow) -> tuple[Any, ...]:
    values = msgspec.structs.astuple(row)
    return (*values[:-1], _tiers_text(values[-1]))


@lru_cache(maxsize=4_096)
def _tiers_text(tiers: tuple[str, ...]) -> str:
    """The same few combinations come again and again."""
    return msgspec.json.encode(tiers).decode()


def _row(entry: Row[Any]) -> LedgerRow:
    values = dict(entry._mapping)
    values["tiers"] = _tiers(values["tiers"])
    values["stream"] = bool(values["stream"])
    return LedgerRow(**values)


def _conditions(wanted: LedgerFilter) -> list[sa.ColumnElement[bool]]:
    names = ("key", "team", "customer", "run", "kind", "outcome", "provider", "target", "call_id")
    found = [ledger.c[name] == value for name in names if (value := getattr(wanted, name)) is not None]
    if wanted.since_ns is not None:
        found.append(ledger.c.started_ns >= wanted.since_ns)
    if wanted.until_ns is not None:
        found.append(ledger.c.started_ns < wanted.until_ns)
    return found


def _label(group: GroupBy, value: Any) -> str | None:
    """A group's name: a day as its date."""
    return day_of(value * DAY_NS) if group == "day" else value


def _group_column(group: GroupBy) -> sa.ColumnElement[Any]:
    if group == "none":
        return sa.literal(None, sa.String)
    if group == "model":
        return sa.case((ledger.c.kind == "model", ledger.c.target), else_=None)
    if group == "tool":
        return sa.case((ledger.c.kind == "tool", ledger.c.target), else_=None)
    if group == "day":
        # Whole days since the epoch.
        return sa.cast(ledger.c.started_ns // DAY_NS, sa.Integer)
    return ledger.c[group]


def _cursor(row: LedgerRow) -> str:
    return base64.urlsafe_b64encode(f"{row.started_ns}|{row.call_id}|{row.attempt}".encode()).decode()


def _read_cursor(cursor: str) -> tuple[int, str, int]:
    try:
        started, call_id, attempt = base64.urlsafe_b64decode(cursor.encode()).decode().split("|")
        return int(started), call_id, int(attempt)
    except (ValueError, binascii.Error):
        raise InvalidCursor("The cursor is not one of this ledger's.") from None
