"""Metrics, ``/me`` and the operator's questions (``doctor``, ``explain``)."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends, Query, Request, Response

from gateway.admin.errors import AdminError
from gateway.admin.metrics import CONTENT_TYPE, Metrics
from gateway.admin.parts import Operations
from gateway.admin.security import AdminCheck
from gateway.surfaces.credentials import identify
from gateway.surfaces.runs import LIMITS_HEADER, run_of
from policies.counters import LimitState
from policies.refusals import instant
from policies.types import Refusal


def open_router(parts: Operations) -> APIRouter:
    """``/me``, for a virtual key itself."""
    routes = APIRouter(tags=["operations"])

    @routes.get("/me")
    async def me(request: Request) -> dict[str, Any]:
        key = identify(parts.directory, request.headers)
        if isinstance(key, Refusal):
            raise AdminError(401, key.code, key.message)
        now = parts.clock()
        principal = key.principal
        run = run_of(request.headers)
        limited = parts.runs.tier(principal.key, run, key.run_limits, request.headers.get(LIMITS_HEADER))
        if isinstance(limited, Refusal):
            raise AdminError(403, limited.code, limited.message)
        tiers = (*key.tiers, *key.provider_tiers.values(), *([limited] if limited is not None else []))
        return {
            "key": principal.key,
            "team": principal.team,
            "customer": principal.customer,
            "expires_at": instant(key.expires_ns) if key.expires_ns else None,
            "run": run,
            "limits": [render_limit(state) for state in await parts.counters.state(tiers, now)],
        }

    return routes


def admin_router(parts: Operations, check: AdminCheck) -> APIRouter:
    """``/metrics``, ``/api/doctor``, ``/api/explain``."""
    routes = APIRouter(tags=["operations"], dependencies=[Depends(check)])
    counted = Metrics(parts.telemetry)

    @routes.get("/metrics")
    async def metrics() -> Response:
        return Response(counted.render(), media_type=CONTENT_TYPE)

    @routes.get("/api/doctor")
    async def doctor() -> dict[str, Any]:
        return parts.reports.doctor()

    @routes.get("/api/explain")
    async def explain(
        key: str = Query(min_length=1), model: str | None = None, tool: str | None = None
    ) -> dict[str, Any]:
        if (model is None) == (tool is None):
            raise AdminError(400, "invalid_request", "Name either a model or a tool to explain.")
        found = parts.reports.explain(key, model, tool)
        if found is None:
            raise AdminError(404, "unknown_key", f"There is no virtual key named {key!r}.")
        return found

    return routes


def render_limit(state: LimitState) -> dict[str, Any]:
    """One limit as JSON; money in nano-dollars, times as UTC text."""
    return {
        "tier": str(state.tier),
        "measure": state.measure,
        "window": str(state.window) if state.window else None,
        "limit": state.limit,
        "used": state.used,
        "held": state.held,
        "resets_at": instant(state.reset_at_ns) if state.reset_at_ns else None,
    }
