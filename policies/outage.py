"""Goes on while the shared counter store is gone, within a bounded allowance, or refuses: as configured.

During an outage every process counts alone, against a share of every limit. What was used is put onto the
shared counters when they are back, once: settling is idempotent by hold id.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import msgspec
import structlog

from policies.counters import Counters, Exhausted, Hold, LimitState, Need
from policies.memory_counters import MemoryCounters
from policies.refusals import counters_unavailable
from policies.tiers import RateUnit, Tier

log = structlog.get_logger("tollkeeper.counters")

PROBE_S = 0.5
PENDING = 100_000
"""Settlements kept for the store; beyond it the ledger alone remembers, and the counters are raised from it."""


class CountersUnavailable(Exception):
    """The counter store does not answer; the message says why."""


class SharedCounters(Counters, Protocol):
    """Counters of several processes, which may be gone. Every method raises ``CountersUnavailable``."""

    async def check(self) -> str | None:
        """Why the store cannot be used; ``None`` if it can."""


class OutageCounters:
    """``Counters`` over shared ones. ``share`` of every limit is allowed in an outage; 0 denies."""

    def __init__(self, shared: SharedCounters, share: float) -> None:
        self._shared = shared
        self._share = share
        self._local = MemoryCounters()
        self._scaled: dict[tuple[Tier, ...], tuple[Tier, ...]] = {}
        self._pending: deque[tuple[Hold, int, int]] = deque(maxlen=PENDING)
        self._probing: asyncio.Task[None] | None = None
        self.failing: str | None = None
        """Why the store does not answer; ``None`` while it does."""

    async def meter(self, tiers: tuple[Tier, ...], units: Sequence[RateUnit], now_ns: int) -> Exhausted | None:
        if self.failing is None:
            try:
                return await self._shared.meter(tiers, units, now_ns)
            except CountersUnavailable as error:
                self._fail(error)
        if not self._share:
            return Exhausted(None, counters_unavailable())
        return await self._local.meter(self._scale(tiers), units, now_ns)

    async def reserve(
        self, tiers: tuple[Tier, ...], target_tiers: tuple[Tier, ...], need: Need, now_ns: int
    ) -> Hold | Exhausted:
        if self.failing is None:
            try:
                return await self._shared.reserve(tiers, target_tiers, need, now_ns)
            except CountersUnavailable as error:
                self._fail(error)
        if not self._share:
            return Exhausted(None, counters_unavailable())
        held = await self._local.reserve(self._scale(tiers), self._scale(target_tiers), need, now_ns)
        if isinstance(held, Exhausted):
            return held
        return msgspec.structs.replace(held, tiers=(*tiers, *target_tiers), local=True)

    async def extend(self, hold: Hold, cost_nano: int, tokens: int, now_ns: int) -> Hold | Exhausted:
        if hold.local:
            return await self._local.extend(hold, cost_nano, tokens, now_ns)
        if self.failing is None:
            try:
                return await self._shared.extend(hold, cost_nano, tokens, now_ns)
            except CountersUnavailable as error:
                self._fail(error)
        return Exhausted(None, counters_unavailable())

    async def settle(self, hold: Hold, cost_nano: int, tokens: int) -> None:
        if hold.local:
            await self._local.settle(hold, cost_nano, tokens)
        elif self.failing is None:
            try:
                await self._shared.settle(hold, cost_nano, tokens)
            except CountersUnavailable as error:
                self._fail(error)
            else:
                return
        self._pending.append((hold, cost_nano, tokens))
        self._probe()

    async def state(self, tiers: Sequence[Tier], now_ns: int) -> list[LimitState]:
        if self.failing is None:
            try:
                return await self._shared.state(tiers, now_ns)
            except CountersUnavailable as error:
                self._fail(error)
        return await self._local.state(self._scale(tuple(tiers)), now_ns)

    async def stop(self) -> None:
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.wait((self._probing,))

    def _fail(self, error: CountersUnavailable) -> None:
        """From now on the store is known to be gone: nobody waits for a second time-out."""
        if self.failing is None:
            log.error("counter_store_fails", reason=str(error), allowance=self._share)
        self.failing = str(error) or "no answer"
        self._probe()

    def _probe(self) -> None:
        if self._probing is None or self._probing.done():
            self._probing = asyncio.get_running_loop().create_task(self._recover(), name="counter store")

    async def _recover(self) -> None:
        """Until the store answers: then settle what waits, and only then go back to it."""
        while True:
            try:
                reason = await self._shared.check()
                while reason is None and self._pending:
                    hold, cost, tokens = self._pending[0]
                    await self._shared.settle(msgspec.structs.replace(hold, local=False), cost, tokens)
                    self._pending.popleft()
            except CountersUnavailable as error:
                reason = str(error)
            if reason is None:
                break
            await asyncio.sleep(PROBE_S)
        if self.failing is not None:
            log.info("counter_store_recovered")
        self.failing = None
        if not self._local.busy():
            self._local = MemoryCounters()

    def _scale(self, tiers: tuple[Tier, ...]) -> tuple[Tier, ...]:
        found = self._scaled.get(tiers)
        if found is None:
            if len(self._scaled) > 20_000:
                self._scaled.clear()
            found = self._scaled[tiers] = tuple(map(self._smaller, tiers))
        return found

    def _smaller(self, tier: Tier) -> Tier:
        """The same tier with a share of its limits: at least one call, never more than the limit."""
        share = self._share
        return replace(
            tier,
            budgets=tuple(replace(b, limit_nano=int(b.limit_nano * share)) for b in tier.budgets),
            rates=tuple(replace(r, limit=min(r.limit, max(1, int(r.limit * share)))) for r in tier.rates),
            parallel=None if tier.parallel is None else min(tier.parallel, max(1, int(tier.parallel * share))),
        )
