"""The admin application: everything that is not a hot surface. Closed by default."""

from __future__ import annotations

from fastapi import FastAPI

from gateway.admin import cache, keys, ledger, operations, prices
from gateway.admin.cache_reports import CacheParts
from gateway.admin.errors import install
from gateway.admin.operations import Operations
from gateway.admin.prices import Prices
from gateway.admin.security import admin_check
from gateway.keyring import Keyring
from policies.journaled_ledger import JournaledLedger


def admin_app(
    operations_parts: Operations,
    keyring: Keyring,
    books: JournaledLedger,
    price_parts: Prices,
    cache_parts: CacheParts,
    token: str,
) -> FastAPI:
    """``/healthz``, ``/readyz``, ``/me`` open; ``/api/*`` and ``/metrics`` behind the admin token."""
    app = FastAPI(title="Tollkeeper", docs_url=None, redoc_url=None, openapi_url=None)
    check = admin_check(token)
    app.include_router(operations.open_router(operations_parts))
    app.include_router(operations.admin_router(operations_parts, check))
    app.include_router(keys.router(keyring, check))
    app.include_router(ledger.router(books, check))
    app.include_router(prices.router(price_parts, check))
    app.include_router(cache.router(cache_parts, check))
    install(app)
    return app
