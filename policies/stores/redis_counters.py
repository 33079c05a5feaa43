"""``policies.counters.Counters`` for several processes, in Redis: every step runs on all tiers or on none, in a script
(``redis_counters.lua``) that makes all steps that wait at the same time (``redis_batches.py``).

Holds have a lease: those of a process that died end with it. Settling is idempotent by hold id for a day.
All keys carry one hash tag, so that they live in one slot of a cluster.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

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
from policies.remembered import Remembered, RememberedRun
from policies.stores.redis_batches import MOST_STEPS, Answer, Batches
from policies.stores.redis_link import Refused
from policies.stores.redis_parties import MS_NS, PREFIX, Encoded, Parties, Party, measure_of, top_of
from policies.tiers import RUN, Budget, RateUnit, Tier, TierId
from policies.types import Refusal

SCHEMA = b"tollkeeper counters 1"
LEASE_MS = 11 * 60 * 1000
"""Longer than any call's deadline."""


class _Taken(Hold, frozen=True):
    """A hold that knows its tiers as the script reads them."""

    party: Party | None = None


class RedisCounters:
    """Composed once per process. Every method raises ``CountersUnavailable`` when Redis does not answer."""

    def __init__(self, url: str, lease_ms: int = LEASE_MS) -> None:
        self._batches = Batches(url, lease_ms)
        self._parties = Parties()
        self._latest_ns = 0
        """When this process last asked: settling has no time of its own."""
        self._releasing: set[asyncio.Task[None]] = set()

    async def check(self) -> str | None:
        """Why this Redis cannot be used; ``None`` if it can. Marks an empty one as ours."""
        schema = f"{PREFIX}schema"
        try:
            await self._batches.ask(b"SET", schema.encode(), SCHEMA, b"NX")
            found = await self._batches.ask(b"GET", schema.encode())
        except Refused as error:
            return f"the counter store holds foreign data under {schema}: {error}"
        if found != SCHEMA:
            return f"the counter store holds foreign data under {schema}, written by another version or program"
        return None

    async def close(self) -> None:
        await self._batches.close()

    async def meter(self, tiers: tuple[Tier, ...], units: Sequence[RateUnit], now_ns: int) -> Exhausted | None:
        self._latest_ns = now_ns
        party = self._parties.find(tiers, (), now_ns)
        answer = await self._batches.put(party, ("meter", now_ns // MS_NS, units))
        return None if answer == 0 else _exhausted(party, answer, 0, 0, now_ns)

    async def reserve(
        self, tiers: tuple[Tier, ...], target_tiers: tuple[Tier, ...], need: Need, now_ns: int
    ) -> Hold | Exhausted:
        self._latest_ns = now_ns
        party = self._parties.find(tiers, target_tiers, now_ns)
        cost, tokens, slot = need.cost_nano, need.tokens, need.slot
        step = ("reserve", now_ns // MS_NS, party.own, need.units, cost, tokens, slot)
        try:
            answer = await self._batches.put(party, step, need.hold_id)
        except asyncio.CancelledError:
            # Whether the script ran is not known: what it held is given back, and if it comes later it finds
            # the hold settled.
            hold = _Taken(need.hold_id, party.tiers, cost, tokens, now_ns, slot, party=party)
            task = asyncio.get_running_loop().create_task(self._release(hold))
            self._releasing.add(task)
            task.add_done_callback(self._releasing.discard)
            raise
        if not isinstance(answer, int):
            return _exhausted(party, answer, cost, tokens, now_ns)
        return _Taken(need.hold_id, party.tiers, cost, tokens, max(now_ns, answer * MS_NS), slot, party=party)

    async def _release(self, hold: Hold) -> None:
        """Give a hold back; if the store is gone, its lease ends it."""
        with contextlib.suppress(CountersUnavailable):
            await self.settle(hold, 0, 0)

    async def extend(self, hold: Hold, cost_nano: int, tokens: int, now_ns: int) -> Hold | Exhausted:
        self._latest_ns = now_ns
        party = self._parties.find(hold.tiers, (), now_ns)
        answer = await self._batches.put(party, ("extend", now_ns // MS_NS, cost_nano, tokens), hold.hold_id)
        if answer != 0:
            return _exhausted(party, answer, cost_nano - hold.cost_nano, tokens - hold.tokens, now_ns)
        return msgspec.structs.replace(hold, cost_nano=cost_nano, tokens=tokens)

    async def settle(self, hold: Hold, cost_nano: int, tokens: int) -> None:
        party = hold.party if isinstance(hold, _Taken) else None
        if party is None:
            party = self._parties.make(hold.tiers, (), hold.taken_ns)
        now_ns = max(hold.taken_ns, self._latest_ns)
        step = ("settle", now_ns // MS_NS, cost_nano, tokens, hold.taken_ns // MS_NS)
        await self._batches.put(party, step, hold.hold_id)

    async def state(self, tiers: Sequence[Tier], now_ns: int) -> list[LimitState]:
        self._latest_ns = now_ns
        party = self._parties.make(tiers, (), now_ns)
        answer = await self._batches.put(party, ("state", now_ns // MS_NS))
        found: list[LimitState] = []
        for one, said in zip(party.encoded, answer, strict=True):
            found += _limits(one, said)
        return found

    async def remember(self, known: Sequence[Remembered], runs: Sequence[RememberedRun], now_ns: int) -> None:
        """Raise what the ledger knows better: a window that lost usage, or was never counted here."""
        self._latest_ns = now_ns
        raised: list[tuple[Tier, list[Any]]] = []
        for entry in known:
            amounts: object = entry.total
            if entry.window.rolling:
                amounts = [(at_ns // MS_NS, amount) for at_ns, amount in entry.amounts]
            raised.append((entry.tier, [(1, f"{entry.measure}|{entry.window}", amounts)]))
        for run in runs:
            began = run.began_ns // MS_NS
            lines = [(1, f"{measure}|{RUN}", amount, began) for measure, amount in run.used.items()]
            raised.append((Tier(TierId("run", run.name)), lines))
        # A batch at a time: calls that come meanwhile do not wait for all of it.
        for begin in range(0, len(raised), MOST_STEPS):
            await asyncio.gather(
                *(
                    self._batches.put(self._parties.make((tier,), (), now_ns), ("raise", now_ns // MS_NS, lines))
                    for tier, lines in raised[begin : begin + MOST_STEPS]
                )
            )


def _limits(one: Encoded, said: Mapping[str, Any]) -> list[LimitState]:
    found: list[LimitState] = []
    held = {"cost": int(said["cost"]), "tokens": int(said["tokens"])}
    for limit, (used, at_ms) in zip(one.limits, said["limits"] or (), strict=True):
        measure = measure_of(limit)
        resets = int(at_ms) * MS_NS or None
        found.append(
            LimitState(one.tier.id, measure, limit.window, top_of(limit), int(used), held.get(measure, 0), resets)
        )
    if one.tier.parallel is not None:
        found.append(LimitState(one.tier.id, "parallel", None, one.tier.parallel, int(said["flying"]), 0, None))
    return found


def _exhausted(party: Party, answer: Answer, cost_nano: int, tokens: int, now_ns: int) -> Exhausted:
    if answer["why"] == "lost":
        raise CountersUnavailable("a hold is no longer known to the counter store")
    one = party.encoded[int(answer["tier"]) - 1]
    return Exhausted(one.tier.id, _refusal(one, answer, cost_nano, tokens, now_ns))


def _refusal(one: Encoded, answer: Answer, cost_nano: int, tokens: int, now_ns: int) -> Refusal:
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
