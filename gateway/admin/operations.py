"""Health, metrics, ``/me`` and the operator's questions (``doctor``, ``explain``)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from gateway.admin.errors import AdminError
from gateway.admin.security import AdminCheck
from gateway.surfaces.credentials import identify
from gateway.surfaces.runs import LIMITS_HEADER, run_of
from policies.counters import Counters, LimitState
from policies.identity import Directory
from policies.refusals import instant
from policies.run_limits import RunTiers
from policies.types import Refusal


@dataclass(frozen=True, slots=True)
class Health:
    """``degraded`` serves: rows wait in the journal, or budgets are counted within an outage's allowance. A
    balancer that took such a gate out would make an outage of its store an outage of everything."""

    status: Literal["ready", "degraded", "not_ready"]
    reasons: tuple[str, ...] = ()


class Reports(Protocol):
    """What the running gateway can tell about itself."""

    def ready(self) -> Health:
        """Whether it can serve."""

    def doctor(self) -> dict[str, Any]:
        """State of every server, provider and store."""

    def explain(self, key: str, model: str | None, tool: str | None) -> dict[str, Any] | None:
        """Which decision a call would meet and why; ``None`` if there is no such key."""


@dataclass(frozen=True, slots=True)
class Operations:
    """What these routes need."""

    reports: Reports
    directory: Directory
    counters: Counters
    runs: RunTiers
    registry: CollectorRegistry
    clock: Callable[[], int]


def open_router(parts: Operations) -> APIRouter:
    """``/healthz``, ``/readyz``, and ``/me`` for a virtual key itself."""
    routes = APIRouter(tags=["operations"])

    @routes.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @routes.get("/readyz")
    async def readyz() -> JSONResponse:
        health = parts.reports.ready()
        return JSONResponse(
            {"status": health.status, "reasons": list(health.reasons)}, 503 if health.status == "not_ready" else 200
        )

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

    @routes.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(parts.registry), media_type=CONTENT_TYPE_LATEST)

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
