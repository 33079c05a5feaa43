"""``/api/cache``: what is kept, why a call hit or missed, and forgetting.

Bifrost's two paths for forgetting work here too: ``DELETE /api/cache/clear/{id}`` and
``DELETE /api/cache/clear-by-key/{cache key}``.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Query

from gateway.admin.cache_reports import (
    Evaluation,
    Question,
    cache_of,
    entry_line,
    evaluate,
    explain_call,
    explain_request,
)
from gateway.admin.errors import AdminError
from gateway.admin.parts import CacheParts
from gateway.admin.security import AdminCheck
from policies.caching.stores import CacheUnavailable
from policies.caching.vocabulary import Selector

MOST_LISTED = 1_000
Text = Annotated[str | None, Query(min_length=1, max_length=1000)]
Limit = Annotated[int, Query(ge=1, le=MOST_LISTED)]


def router(parts: CacheParts, check: AdminCheck) -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix="/api/cache", tags=["cache"], dependencies=[Depends(check)])
    _reading(routes, parts)
    _clearing(routes, parts)
    return routes


def _reading(routes: APIRouter, parts: CacheParts) -> None:
    @routes.get("")
    async def state() -> dict[str, Any]:
        look_up = cache_of(parts)
        semantic = look_up.cache.semantic
        vectors = None if semantic is None else {"count": await semantic.vectors.count(), "failing": semantic.failing}
        stats = msgspec.to_builtins(await look_up.cache.answers.stats())
        return {**stats, "waiting": look_up.followers, "vectors": vectors}

    @routes.get("/entries")
    async def entries(key: Text = None, model: Text = None, tool: Text = None, limit: Limit = 100) -> dict[str, Any]:
        wanted = Selector(key=key, model=model, tool=tool)
        found: list[dict[str, Any]] = []
        try:
            async for entry in cache_of(parts).cache.answers.entries():
                if wanted.matches(entry):
                    found.append(entry_line(entry))
                if len(found) >= limit:
                    break
        except CacheUnavailable as error:
            raise AdminError(503, "cache_unavailable", str(error)) from None
        return {"entries": found}

    @routes.post("/explain")
    async def explain(question: Question) -> dict[str, Any]:
        return await explain_request(parts, question)

    @routes.get("/explain/{call_id}")
    async def explain_one(call_id: str) -> dict[str, Any]:
        return await explain_call(parts, call_id)

    @routes.post("/evaluate")
    async def evaluation(asked: Evaluation) -> dict[str, Any]:
        return await evaluate(parts, asked)


def _clearing(routes: APIRouter, parts: CacheParts) -> None:
    async def forget(wanted: Selector) -> dict[str, Any]:
        try:
            return {"cleared": await cache_of(parts).cache.clear(wanted)}
        except CacheUnavailable as error:
            raise AdminError(503, "cache_unavailable", str(error)) from None

    @routes.delete("")
    async def clear(
        entry: Text = None,
        key: Text = None,
        cache_key: Text = None,
        model: Text = None,
        tool: Text = None,
        server: Text = None,
        tag: Text = None,
        partition: Text = None,
    ) -> dict[str, Any]:
        wanted = {"cache_key": cache_key, "model": model, "tool": tool, "server": server, "tag": tag}
        return await forget(Selector(id=entry, key=key, partition=partition, **wanted))

    @routes.delete("/clear/{entry}")
    async def clear_entry(entry: str) -> dict[str, Any]:
        return await forget(Selector(id=entry))

    @routes.delete("/clear-by-key/{cache_key:path}")
    async def clear_by_key(cache_key: str) -> dict[str, Any]:
        return await forget(Selector(cache_key=cache_key))
