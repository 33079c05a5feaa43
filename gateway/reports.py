"""What the running gateway tells about itself: readiness, ``doctor``, ``explain``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gateway.admin.parts import Health
from gateway.keyring import Keyring
from mcp_hub.hub import Hub
from mcp_hub.members import Member
from mcp_hub.naming import MAX_NAME, exposed_name
from mcp_hub.upstream.supervisor import Supervisor
from policies.admission import Subject
from policies.caching.cache import Cache
from policies.identity import VirtualKey
from policies.journaled_ledger import JournaledLedger
from policies.types import Refusal
from providers.planning import RouteRequest, TargetHealth, itinerary
from providers.routing import Router
from providers.services import Service

BYTES_PER_TOKEN = 4
EXPLAINED: tuple[Service, ...] = ("openai/chat", "anthropic/messages", "gemini/generate")
"""The surfaces that a route is explained for."""
NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class ReportParts:
    """What there is to tell about. Callables: what changes with a reload or by the minute."""

    hub: Hub
    supervisor: Supervisor
    router: Callable[[], Router]
    health: TargetHealth
    keyring: Keyring
    ledger: JournaledLedger
    cache: Cache | None
    counters_fail: Callable[[], str | None]
    clock: Callable[[], int]
    client_prefix: int
    deny_in_outage: bool


class GatewayReports:
    """``gateway.admin.parts.Reports`` of one process."""

    def __init__(self, parts: ReportParts) -> None:
        self._parts = parts

    def ready(self) -> Health:
        reasons: list[str] = []
        if self._parts.ledger.failing:
            reasons.append(f"the ledger store fails: {self._parts.ledger.failing}")
        counters = self._parts.counters_fail()
        if counters is not None:
            reasons.append(f"the counter store fails: {counters}")
        if counters is not None and self._parts.deny_in_outage:
            return Health("not_ready", tuple(reasons))
        return Health("degraded" if reasons else "ready", tuple(reasons))

    def readiness(self) -> tuple[int, dict[str, Any]]:
        """Status and answer of ``/readyz``."""
        health = self.ready()
        said = {"status": health.status, "reasons": list(health.reasons)}
        return 503 if health.status == "not_ready" else 200, said

    def doctor(self) -> dict[str, Any]:
        now = self._parts.clock()
        servers = [self._server(member, now) for member in self._parts.hub.members()]
        providers = [
            {"name": p.name, "type": p.kind, "state": "disabled" if p.disabled else "ready", "reason": p.disabled}
            for p in self._parts.router().providers
        ]
        return {
            "servers": servers,
            "sessions": self._parts.supervisor.health(),
            "providers": providers,
            "breakers": self._parts.health.breakers.report(),
            "ledger": {
                "state": "failing" if self._parts.ledger.failing else "ok",
                "reason": self._parts.ledger.failing,
            },
            "cache": self._cache(),
            "counters": {
                "state": "failing" if self._parts.counters_fail() else "ok",
                "reason": self._parts.counters_fail(),
            },
        }

    def explain(self, key: str, model: str | None, tool: str | None) -> dict[str, Any] | None:
        found = self._parts.keyring.find(key)
        if found is None:
            return None
        said: dict[str, Any] = {"key": key, "team": found.principal.team, "customer": found.principal.customer}
        if tool is not None:
            server, _, name = tool.partition("/")
            decision = found.grants.decide(Subject("tool", server, name))
            snapshot = self._parts.hub.snapshot(server)
            offered = snapshot is not None and any(item.name == name for item in snapshot.items["tools"])
            return {**said, "tool": tool, "allowed": decision.allowed, "reason": decision.reason, "offered": offered}
        router = self._parts.router()
        route = self._routes(found, model or "")
        return {
            **said,
            "model": model,
            "allowed": bool(route),
            "candidates": [
                {"provider": c.provider, "model": c.model, "taken": c.taken, "reason": c.reason}
                for c in router.explain(found, model or "")
            ],
            "route": route,
        }

    def _routes(self, key: VirtualKey, model: str) -> list[dict[str, Any]]:
        """Where a call would go, in order, and which dialects reach it: a provider of a caller's own credential is
        reached in its own dialect only."""
        lines: dict[tuple[str, str | None, str], dict[str, Any]] = {}
        for service in EXPLAINED:
            for line in self._route(key, model, service):
                known = lines.setdefault((line["provider"], line["key"], line["model"]), {**line, "surfaces": []})
                known["surfaces"].append(service)
        return list(lines.values())

    def _route(self, key: VirtualKey, model: str, service: Service) -> list[dict[str, Any]]:
        """Where a call would go, in order; the weighted pick is made anew for each."""
        router, health = self._parts.router(), self._parts.health
        wanted = RouteRequest(key, model, service)
        first = router.route(key, model, service)
        plan = itinerary(router, health, wanted, first, lambda name: router.provider(name).retries)
        if isinstance(plan, Refusal):
            return []
        return [
            {
                "provider": target.owner,
                "key": target.account or None,
                "model": target.name,
                "dialect": router.provider(target.owner).kind_of(target.name),
                "price": target.price.source,
                "fallback": plan.is_fallback(target),
                "breaker": health.breakers.state(target),
            }
            for target in plan.targets
        ]

    def _cache(self) -> dict[str, Any]:
        cache = self._parts.cache
        if cache is None:
            return {"state": "off", "reason": None}
        reason = cache.answers.failing or (cache.semantic.failing if cache.semantic is not None else None)
        return {"state": "failing" if reason else "ok", "reason": reason}

    def _server(self, member: Member, now: int) -> dict[str, Any]:
        said = member.outcome.render(now)
        said["transport"] = self._parts.supervisor.transport(member.name)
        said["isolation"] = self._parts.supervisor.terms(member.name).isolation
        if member.failure is not None:
            said["last_failure"] = {
                "stage": member.failure.stage,
                "code": member.failure.code,
                "since_s": max(0, now - member.failure.since_ns) // NS,
                "next_retry_s": max(0, member.retry_ns - now) // NS if member.retry_ns else None,
            }
        snapshot = member.snapshot
        if snapshot is None:
            return said
        tools = snapshot.items["tools"]
        size = sum(len(raw) for item in tools for raw in map(bytes, item.raw.values()))
        prefix = self._parts.supervisor.terms(member.name).prefix or member.name
        names = [exposed_name(prefix, item.name, self._parts.client_prefix) for item in tools]
        longest = max(map(len, names), default=0)
        said.update(
            era=snapshot.era,
            tools=len(tools),
            tools_tokens=size // BYTES_PER_TOKEN,
            name_budget_left=MAX_NAME - self._parts.client_prefix - longest,
            unusable_items=snapshot.unusable,
        )
        return said
