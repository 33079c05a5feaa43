"""The admin application: everything that is not a hot surface. Closed by default."""

from __future__ import annotations

from fastapi import FastAPI

from gateway.admin import cache, keys, ledger, operations, prices
from gateway.admin.errors import install
from gateway.admin.parts import AdminParts
from gateway.admin.security import admin_check


def admin_app(parts: AdminParts) -> FastAPI:
    """``/me`` open to virtual keys; ``/api/*`` and ``/metrics`` behind the admin token."""
    app = FastAPI(title="Tollkeeper", docs_url=None, redoc_url=None, openapi_url=None)
    check = admin_check(parts.token)
    app.include_router(operations.open_router(parts.operations))
    app.include_router(operations.admin_router(parts.operations, check))
    app.include_router(keys.router(parts.keyring, check))
    app.include_router(ledger.router(parts.ledger, check))
    app.include_router(prices.router(parts.prices, check))
    app.include_router(cache.router(parts.cache, check))
    install(app)
    return app
