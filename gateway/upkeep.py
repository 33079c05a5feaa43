"""What a running gateway does beside answering: expires rows, notices what other replicas changed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

import structlog
from sqlalchemy.exc import SQLAlchemyError

from gateway.config.server import Ledger
from gateway.keyring import Keyring
from gateway.price_book import PriceBook
from gateway.stores import Books
from policies.caching.cache import Cache
from policies.caching.stores import CacheUnavailable
from policies.caching.vocabulary import Selector
from policies.journaled_ledger import JournaledLedger
from policies.ledger_queries import LedgerStore
from policies.windows import SECOND_NS

log = structlog.get_logger("tollkeeper.upkeep")

RETENTION_BATCH = 5_000
RETENTION_PAUSE_S = 3_600.0
CHANGES_PAUSE_S = 0.5
"""A key that another replica revoked ends here within a second."""


async def expire_rows(ledger: JournaledLedger, kept: Callable[[], Ledger], clock: Callable[[], int]) -> None:
    """Delete rows that are older, or more, than the configuration keeps, a bounded batch at a time."""
    while True:
        horizon = clock() - kept().retention_days * 86_400 * SECOND_NS
        try:
            while await ledger.ask(partial(_expire, horizon, kept().max_rows)):
                pass
        except SQLAlchemyError as error:
            log.error("rows_not_expired", reason=str(getattr(error, "orig", None) or error))
        await asyncio.sleep(RETENTION_PAUSE_S)


def _expire(horizon_ns: int, most: int, store: LedgerStore) -> int:
    return store.delete_before(horizon_ns, RETENTION_BATCH) + store.delete_beyond(most, RETENTION_BATCH)


async def forget_quietly(cache: Cache, wanted: Selector) -> None:
    """Forget kept results that a server called out of date; nobody waits for it."""
    try:
        await cache.clear(wanted)
    except CacheUnavailable as error:
        log.warning("stale_results_not_forgotten", reason=str(error))


async def follow_changes(keyring: Keyring, prices: PriceBook, books: Books) -> None:
    """Take over keys and prices that another process changed in the same database."""

    def look() -> object:
        return books.keys.fingerprint(), books.prices.fingerprint()

    known: object = None
    while True:
        try:
            found = await asyncio.to_thread(look)
            if known is not None and found != known:
                await keyring.refresh()
                await prices.refresh()
            known = found
        except SQLAlchemyError as error:
            log.warning("changes_not_seen", reason=str(getattr(error, "orig", None) or error))
        await asyncio.sleep(CHANGES_PAUSE_S)
