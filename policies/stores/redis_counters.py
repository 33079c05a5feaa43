"""``policies.counters.Counters`` for several processes, in Redis: every step is one script, which runs on all
tiers or on none (``redis_counters.lua``), in one round trip.

Holds have a lease: those of a process that died end with it. Settling is idempotent by hold id for a day.
All keys carry one hash tag, so that they live in one slot of a cluster.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import redis.asyncio as redis
from redis.exceptions import RedisError, ResponseError

from policies.counters import Exhausted, Hold, LimitState, Need
from policies.outage import CountersUnavailable
from policies.refusals import (
    budget_exceeded,
    call_too_large,
    parallel_limited,
    rate_limited,
    run_limited,
    run_over,
)
from policies.remembered import RUN_MEMORY_NS, Remembered, RememberedRun
from policies.tiers import RUN, Budget, Rate, RateUnit, Tier, TierId, Window
from policies.types import Refusal
from policies.windows import SLICES, bounds, length_ns

MS_NS = 1_000_000
PREFIX = "tk:{tollkeeper}:"
SCHEMA = "tollkeeper counters 1"
TIMEOUT_S = 1.0
CONNECTIONS = 32
LEASE_MS = 11 * 60 * 1000
"""Longer than any call's deadline."""
SETTLED_MS = 24 * 3600 * 1000
MOST_NANO = 2**53
"""A Lua number is exact up to here: nine million dollars in one window."""

_SCRIPT = (Path(__file__).parent / "redis_counters.lua").read_text(encoding="utf-8")
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode
Answer = Mapping[str, Any]


class _Compiled:
    """A tier as the script reads it. Calendar windows are computed anew when one has ended."""

    __slots__ = ("_valid_from_ns", "_valid_until_ns", "argument", "key", "limits", "tier")

    def __init__(self, tier: Tier, now_ns: int) -> None:
        self.tier = tier
        self.key = f"{PREFIX}t:{tier.id}"
        self.limits: list[Budget | Rate] = [*tier.budgets, *tier.rates]
        self._valid_from_ns, self._valid_until_ns = 0, 2**62
        measures = [(_measure(limit), limit.window) for limit in self.limits]
        if tier.id.kind == "run":
            measures = [(measure, RUN) for measure in ("cost", "tool_calls", "model_calls")]
        self.argument: dict[str, Any] = {
            "specs": [self._spec(measure, window, now_ns) for measure, window in dict.fromkeys(measures)],
            "limits": [
                (index, _measure(limit), f"{_measure(limit)}|{limit.window}", _top(limit))
                for index, limit in enumerate(self.limits)
            ],
            "parallel": tier.parallel,
            "lifetime": None if tier.lifetime_ns is None else tier.lifetime_ns // MS_NS,
            "ttl": RUN_MEMORY_NS // MS_NS if tier.id.kind == "run" else None,
        }
        self.argument = {name: value for name, value in self.argument.items() if value is not None}

    def current(self, now_ns: int) -> bool:
        return self._valid_from_ns <= now_ns < self._valid_until_ns

    def _spec(self, measure: str, window: Window, now_ns: int) -> tuple[Any, ...]:
        name = f"{measure}|{window}"
        if window.unit == "run":
            return name, "run"
        if window.rolling:
            return name, "roll", length_ns(window) // SLICES // MS_NS
        start, end = bounds(window, now_ns)
        self._valid_from_ns, self._valid_until_ns = max(self._valid_from_ns, start), min(self._valid_until_ns, end)
        return name, "cal", start // MS_NS, end // MS_NS


def _measure(limit: Budget | Rate) -> str:
    return "cost" if isinstance(limit, Budget) else limit.unit


def _top(limit: Budget | Rate) -> int:
    return limit.limit_nano if isinstance(limit, Budget) else limit.limit


class RedisCounters:
    """Composed once per process. Every method raises ``CountersUnavailable`` when Redis does not answer."""

    def __init__(self, url: str, lease_ms: int = LEASE_MS) -> None:
        self._lease_ms = lease_ms
        pool = redis.BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS,
            timeout=TIMEOUT_S,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            retry=None,
        )
        self._redis: redis.Redis = redis.Redis(connection_pool=pool)
        self._script = self._redis.register_script(_SCRIPT)
        self._compiled: dict[Tier, _Compiled] = {}
        self._latest_ns = 0
        """When this process last asked: settling has no time of its own."""
        self._releasing: set[asyncio.Task[None]] = set()

    async def check(self) -> str | None:
        """Why this Redis cannot be used; ``None`` if it can. Marks an empty one as ours."""
        try:
            await self._redis.set(f"{PREFIX}schema", SCHEMA, nx=True)
            found = await self._redis.get(f"{PREFIX}schema")
        except ResponseError as error:
            return f"the counter store holds foreign data under {PREFIX}schema: {error}"
        except (RedisError, OSError) as error:
            raise CountersUnavailable(str(error)) from None
        if found != SCHEMA.encode():
            return f"the counter store holds foreign data under {PREFIX}schema, written by another version or program"
        return None

    async def close(self) -> None:
        await self._redis.aclose()

    async def meter(self, tiers: tuple[Tier, ...], units: Sequence[RateUnit], now_ns: int) -> Exhausted | None:
        compiled = [self._compile(tier, now_ns) for tier in tiers]
        answer = await self._run("meter", compiled, now_ns, {"units": list(units)})
        return _exhausted(compiled, answer, 0, 0, now_ns)

    async def reserve(
        self, tiers: tuple[Tier, ...], target_tiers: tuple[Tier, ...], need: Need, now_ns: int
    ) -> Hold | Exhausted:
        compiled = [self._compile(tier, now_ns) for tier in (*tiers, *target_tiers)]
        given = {
            "units": list(need.units),
            "cost": need.cost_nano,
            "tokens": need.tokens,
            "slot": need.slot,
            "lease": self._lease_ms,
            "own": len(tiers),
        }
        hold = Hold(need.hold_id, (*tiers, *target_tiers), need.cost_nano, need.tokens, now_ns, need.slot)
        try:
            answer = await self._run("reserve", compiled, now_ns, given, need.hold_id)
        except asyncio.CancelledError:
            # Whether the script ran is not known: what it held is given back, and if it comes later it finds
            # the hold settled.
            task = asyncio.get_running_loop().create_task(self._release(hold))
            self._releasing.add(task)
            task.add_done_callback(self._releasing.discard)
            raise
        refused = _exhausted(compiled, answer, need.cost_nano, need.tokens, now_ns)
        if refused is not None:
            return refused
        taken_ns = max(now_ns, int(answer.get("at", 0)) * MS_NS)
        return msgspec.structs.replace(hold, taken_ns=taken_ns)

    async def _release(self, hold: Hold) -> None:
        """Give a hold back; if the store is gone, its lease ends it."""
        with contextlib.suppress(CountersUnavailable):
            await self.settle(hold, 0, 0)

    async def extend(self, hold: Hold, cost_nano: int, tokens: int, now_ns: int) -> Hold | Exhausted:
        compiled = [self._compile(tier, now_ns) for tier in hold.tiers]
        given = {"cost": cost_nano, "tokens": tokens}
        answer = await self._run("extend", compiled, now_ns, given, hold.hold_id)
        refused = _exhausted(compiled, answer, cost_nano - hold.cost_nano, tokens - hold.tokens, now_ns)
        return refused or msgspec.structs.replace(hold, cost_nano=cost_nano, tokens=tokens)

    async def settle(self, hold: Hold, cost_nano: int, tokens: int) -> None:
        compiled = [self._compile(tier, hold.taken_ns) for tier in hold.tiers]
        given = {"cost": cost_nano, "tokens": tokens, "taken": hold.taken_ns // MS_NS, "remember": SETTLED_MS}
        await self._run("settle", compiled, max(hold.taken_ns, self._latest_ns), given, hold.hold_id)

    async def state(self, tiers: Sequence[Tier], now_ns: int) -> list[LimitState]:
        compiled = [self._compile(tier, now_ns) for tier in tiers]
        answer = await self._run("state", compiled, now_ns, {})
        found: list[LimitState] = []
        for one, said in zip(compiled, answer["tiers"], strict=True):
            held = {"cost": int(said["cost"]), "tokens": int(said["tokens"])}
            for limit, (used, at_ms) in zip(one.limits, said["limits"] or (), strict=True):
                measure = _measure(limit)
                resets = int(at_ms) * MS_NS or None
                found.append(
                    LimitState(one.tier.id, measure, limit.window, _top(limit), int(used), held.get(measure, 0), resets)
                )
            if one.tier.parallel is not None:
                flying = int(said["flying"])
                found.append(LimitState(one.tier.id, "parallel", None, one.tier.parallel, flying, 0, None))
        return found

    async def remember(self, known: Sequence[Remembered], runs: Sequence[RememberedRun], now_ns: int) -> None:
        """Raise what the ledger knows better: a window that lost usage, or was never counted here."""
        for entry in known:
            one = self._compile(entry.tier, now_ns)
            amounts: object = entry.total
            if entry.window.rolling:
                amounts = [(at_ns // MS_NS, amount) for at_ns, amount in entry.amounts]
            name = f"{entry.measure}|{entry.window}"
            await self._run("raise", [one], now_ns, {"known": [(1, name, amounts)]})
        for run in runs:
            one = self._compile(Tier(TierId("run", run.name)), now_ns)
            began = run.began_ns // MS_NS
            lines = [(1, f"{measure}|{RUN}", amount, began) for measure, amount in run.used.items()]
            await self._run("raise", [one], now_ns, {"known": lines})

    async def _run(
        self, step: str, compiled: Sequence[_Compiled], now_ns: int, given: dict[str, Any], hold_id: str | None = None
    ) -> Answer:
        self._latest_ns = now_ns
        keys = [c.key for c in compiled]
        if hold_id is not None:
            keys += [f"{PREFIX}h:{hold_id}", f"{PREFIX}holds"]
            given |= {"id": hold_id, "prefix": f"{PREFIX}h:"}
        keys.append(f"{PREFIX}clock")
        given |= {"now": now_ns // MS_NS, "tiers": [c.argument for c in compiled]}
        try:
            answer: Answer = _decode(await self._script(keys=keys, args=[step, _encode(given)]))
        except (RedisError, OSError, TimeoutError) as error:
            raise CountersUnavailable(str(error) or type(error).__name__) from None
        return answer

    def _compile(self, tier: Tier, now_ns: int) -> _Compiled:
        found = self._compiled.get(tier)
        if found is None or not found.current(now_ns):
            if len(self._compiled) > 20_000:
                self._compiled.clear()
            found = self._compiled[tier] = _Compiled(tier, now_ns)
        return found


def _exhausted(
    compiled: Sequence[_Compiled], answer: Answer, cost_nano: int, tokens: int, now_ns: int
) -> Exhausted | None:
    if answer["why"] in ("ok", "held"):
        return None
    if answer["why"] == "lost":
        raise CountersUnavailable("a hold is no longer known to the counter store")
    one = compiled[int(answer["tier"]) - 1]
    return Exhausted(one.tier.id, _refusal(one, answer, cost_nano, tokens, now_ns))


def _refusal(one: _Compiled, answer: Answer, cost_nano: int, tokens: int, now_ns: int) -> Refusal:
    tier, why = one.tier, answer["why"]
    if why == "parallel":
        return parallel_limited(tier.id, tier.parallel or 0)
    if why == "over":
        return run_over(tier.id, tier.lifetime_ns or 0, int(answer["began"]) * MS_NS)
    limit = one.limits[int(answer["limit"])]
    used = int(answer.get("used", 0))
    room_at = int(answer["at"]) * MS_NS if answer.get("at") is not None else None
    if isinstance(limit, Budget):
        return budget_exceeded(tier.id, limit, used, cost_nano, room_at)
    if why == "large":
        return call_too_large(tier.id, limit, tokens)
    if room_at is None:
        return run_limited(tier.id, limit.unit, limit.limit, used)
    return rate_limited(tier.id, limit, used, room_at, now_ns)
