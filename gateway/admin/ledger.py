"""``/api/ledger``: rows as JSON pages, sums by group, runs as trees, and new rows as they come."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel, ConfigDict

from gateway.admin.errors import AdminError
from gateway.admin.security import AdminCheck
from policies.journaled_ledger import JournaledLedger
from policies.ledger import LedgerRow, columns_of
from policies.ledger_queries import GroupBy, InvalidCursor, LedgerFilter
from policies.run_tree import build_trees

MAX_RUN_ROWS = 10_000


class Filters(BaseModel):
    """Query parameters; times are nanoseconds since the epoch."""

    model_config = ConfigDict(extra="forbid")

    key: str | None = None
    team: str | None = None
    customer: str | None = None
    run: str | None = None
    kind: str | None = None
    outcome: str | None = None
    provider: str | None = None
    target: str | None = None
    call_id: str | None = None
    since_ns: int | None = None
    until_ns: int | None = None

    def wanted(self) -> LedgerFilter:
        names = LedgerFilter.__dataclass_fields__
        return LedgerFilter(**{name: getattr(self, name) for name in names})


class PageQuery(Filters):
    """Filters, and which page."""

    cursor: str | None = None
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100
    order: Literal["newest", "oldest"] = "newest"


class FollowQuery(Filters):
    """Filters, and how many of the last rows come first."""

    limit: Annotated[int, Query(ge=0, le=1_000)] = 50


class TotalsQuery(Filters):
    """Filters, and by what to group."""

    group_by: GroupBy = "none"


def router(ledger: JournaledLedger, check: AdminCheck) -> APIRouter:
    """The routes, over one ledger."""
    routes = APIRouter(prefix="/api/ledger", tags=["ledger"], dependencies=[Depends(check)])

    @routes.get("")
    async def rows(query: Annotated[PageQuery, Query()]) -> Response:
        wanted, newest = query.wanted(), query.order == "newest"
        try:
            page = await ledger.ask(lambda s: s.page(wanted, query.cursor, query.limit, newest_first=newest))
        except InvalidCursor as error:
            raise AdminError(400, "invalid_cursor", str(error)) from None
        return _json({"rows": [columns_of(row) for row in page.rows], "next_cursor": page.next_cursor})

    @routes.get("/totals")
    async def totals(query: Annotated[TotalsQuery, Query()]) -> Response:
        wanted = query.wanted()
        return _json({"totals": await ledger.ask(lambda s: s.totals(wanted, query.group_by))})

    @routes.get("/runs/{run}")
    async def run_tree(run: str) -> Response:
        found = await ledger.ask(lambda s: s.run_rows(run, MAX_RUN_ROWS))
        if not found:
            raise AdminError(404, "unknown_run", f"The ledger has no rows of a run {run!r}.")
        return _json(
            {
                "run": run,
                "rows": [columns_of(row) for row in found],
                "trees": [_tree(tree) for tree in build_trees(run, found)],
            }
        )

    @routes.get("/follow")
    async def follow(query: Annotated[FollowQuery, Query()]) -> StreamingResponse:
        return StreamingResponse(_follow(ledger, query.wanted(), query.limit), media_type="application/x-ndjson")

    return routes


async def _follow(ledger: JournaledLedger, wanted: LedgerFilter, limit: int) -> AsyncIterator[bytes]:
    """The last rows, then new ones. Following begins before the last rows are read, so that none is lost
    between the two, and none is told twice."""
    follower = ledger.follow()
    try:
        page = await ledger.ask(lambda s: s.page(wanted, None, max(1, limit), newest_first=True))
        told = {(row.call_id, row.attempt) for row in page.rows}
        for row in reversed(page.rows[:limit]):
            yield msgspec.json.encode(columns_of(row)) + b"\n"
        while True:
            for row in await follower.next():
                if (row.call_id, row.attempt) not in told and _matches(row, wanted):
                    yield msgspec.json.encode(columns_of(row)) + b"\n"
    finally:
        ledger.unfollow(follower)


def _matches(row: LedgerRow, wanted: LedgerFilter) -> bool:
    names = ("key", "team", "customer", "run", "kind", "outcome", "provider", "target", "call_id")
    return all((asked := getattr(wanted, name)) is None or asked == getattr(row, name) for name in names)


def _tree(tree: Any) -> dict[str, Any]:
    """Nodes by call id: the rows stand beside them."""

    def node(found: Any) -> dict[str, Any]:
        return {"call_id": found.call_id, "children": [node(child) for child in found.children]}

    return {
        "key": tree.key,
        "team": tree.team,
        "customer": tree.customer,
        "roots": [node(root) for root in tree.roots],
        "totals": [msgspec.to_builtins(total) for total in tree.totals],
    }


def _json(value: object) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")
