"""The one path that every call takes, in a straight line:

    identify → admit → route → meter → look up → [ reserve → dispatch → settle ] per attempt → record

``identify`` happens in ``policies.identity`` (a credential becomes a ``VirtualKey``). ``enter`` walks
the steps up to the first reserve while the caller waits; what leaves the process then runs in a
flight that may outlive the caller. Providers and the MCP hub are executors handed in as a
``Dispatch``; neither checks a budget, and no surface dispatches without this path.

Everything that happens is one ledger row per attempt: written to the journal before the attempt
leaves (so that a killed process finds it again) and closed when it is settled. A hold that was taken
is settled whatever happens: by the flight, which nothing can cancel once it settles.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from policies.caching.cache import Cache
from policies.caching.vocabulary import OFF, Plan, Query, Wish, asked_of
from policies.counters import REQUESTS, Counters, Hold, Need
from policies.deadlines import FlightDeadlines
from policies.dispatch import Attempt, Dispatch, Target
from policies.expectation import ExpectedOutput
from policies.flight import Flight, report_defect
from policies.holding import Holding, amounts, any_strict
from policies.identity import VirtualKey
from policies.ledger import Ledger
from policies.look_up import Entered, LookUp
from policies.refusals import max_tokens_required
from policies.rows import open_row, refused_row, settled_row
from policies.run_limits import RunTiers
from policies.runs import ToolUseIndex
from policies.settlement import charge
from policies.tiers import Tier
from policies.trip import Settled, Terms, Trip, units_of
from policies.types import Call, Estimate, ModelCall, Outcome, Refusal


@dataclass(frozen=True, slots=True)
class Enforced:
    """How budgets are enforced where a tier does not say so itself."""

    strict: bool = False
    cut: bool = False
    """End a stream whose budget ends, instead of letting it finish."""


_TERMS = Terms()
_ENFORCED = Enforced()
STRANGER_ROWS = 20
"""Refusals of callers without a key that are recorded in one second."""


class Passage:
    """Composed once per process."""

    def __init__(
        self,
        counters: Counters,
        ledger: Ledger,
        tool_uses: ToolUseIndex,
        clock: Callable[[], int],
        enforced: Enforced = _ENFORCED,
        cache: Cache | None = None,
    ) -> None:
        self.runs = RunTiers("strict" if enforced.strict else "expected")
        self._counters = counters
        self._ledger = ledger
        self._tool_uses = tool_uses
        self._clock = clock
        self._enforced = enforced
        self._expected = ExpectedOutput()
        self.look_up = LookUp(cache, ledger, tool_uses, clock) if cache is not None else None
        self._flights: set[Flight[Settled]] = set()
        self._deadlines = FlightDeadlines()
        self._stranger_second = 0
        self._stranger_rows = 0

    def plan(self, key: VirtualKey, call: Call, dispatch: Dispatch, wish: Wish) -> Plan:
        """What the call asks of the cache: to be given to ``enter``, and told to the caller."""
        if self.look_up is None:
            return OFF
        return self.look_up.cache.plan(key, asked_of(call), lambda: dispatch.answerable(key), wish)

    async def enter(
        self, key: VirtualKey, call: Call, dispatch: Dispatch, terms: Terms = _TERMS, plan: Plan = OFF
    ) -> Entered:
        """Walk the path up to the first reserve. A refusal, and an answer from the cache, is on the ledger when
        it is returned."""
        refusal = dispatch.admit(key)
        if refusal is not None:
            return self._refuse(key, call, refusal)
        targets = dispatch.route(key)
        if isinstance(targets, Refusal):
            return self._refuse(key, call, targets)
        tiers = self.tiers(key, call)
        if isinstance(tiers, Refusal):
            return self._refuse(key, call, tiers)
        units = units_of(call)
        metered = await self._counters.meter(tiers, units, self._clock())
        if metered is not None:
            return self._refuse(key, call, metered.refusal)
        trip = Trip(key, call, tiers, targets, dispatch, terms, plan, REQUESTS if "requests" in units else ())
        if self.look_up is not None and isinstance(plan, Query):
            return await self.look_up.answer(trip, plan, self._depart)
        return await self._depart(trip)

    async def _depart(self, trip: Trip) -> Flight[Settled] | Refusal:
        reserved = await self._reserve(trip, 1, trip.targets)
        if isinstance(reserved, Refusal):
            return self._refuse(trip.key, trip.call, reserved, metered=True)
        query = trip.query
        shared = query is not None and query.flight is not None  # identical calls may join it
        flight: Flight[Settled] = Flight(on_abandon=trip.terms.on_abandon, replay=shared)
        self._flights.add(flight)
        trip.ends_s = self._deadlines.watch(flight, trip.terms.deadline_s)
        flight.start(lambda _: self._fly(flight, trip, reserved))
        return flight

    def tiers(self, key: VirtualKey, call: Call) -> tuple[Tier, ...] | Refusal:
        """Who pays for a call: key, team, customer, and its run if that is limited."""
        context = call.context
        run = self.runs.tier(key.principal.key, context.run, key.run_limits, context.run_limits)
        if run is None or isinstance(run, Refusal):
            return key.tiers if run is None else run
        return (*key.tiers, run)

    def refuse(self, key: VirtualKey | None, call: Call, refusal: Refusal) -> Refusal:
        """Put a refusal that a surface made itself (a malformed request, a bad credential) on the ledger.

        Of callers without a key only ``STRANGER_ROWS`` a second are recorded: nobody pays for their rows,
        and a flood of them must not fill the ledger.
        """
        if key is None:
            second = self._clock() // 1_000_000_000
            if second != self._stranger_second:
                self._stranger_second, self._stranger_rows = second, 0
            self._stranger_rows += 1
            if self._stranger_rows > STRANGER_ROWS:
                return refusal
        return self._refuse(key, call, refusal)

    async def drain(self, timeout_s: float) -> None:
        """Wait for the flights under way, then cancel the rest; every one is settled on return."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self._flights:
                    await asyncio.gather(*(flight.ended() for flight in self._flights))
        while self._flights:
            for flight in self._flights:
                flight.cancel("shutdown")
            await asyncio.gather(*(flight.ended() for flight in self._flights))

    async def _reserve(self, trip: Trip, number: int, targets: Sequence[Target]) -> tuple[Attempt, Holding] | Refusal:
        """Hold on every tier of the first target that has room. A target whose own tier is exhausted
        is skipped; a payer's exhaustion is final."""
        refusal: Refusal | None = None
        call = trip.call
        for target in targets:
            strict = self._enforced.strict or any_strict(trip.tiers, target.tiers)
            estimate = self._estimate(trip, target)
            if strict and estimate.max_output_tokens is None:
                return max_tokens_required(target.name)
            cost, tokens = amounts(target, estimate, strict=strict)
            slot = call.context.origin == "client"
            need = Need(f"{call.context.call_id}:{number}", cost, tokens, slot, trip.target_units)
            held = await self._counters.reserve(trip.tiers, target.tiers, need, self._clock())
            if isinstance(held, Hold):
                if strict:
                    most = estimate.max_output_tokens or 0
                    estimate = msgspec.structs.replace(estimate, expected_output_tokens=most)
                attempt = self._new_attempt(trip, number, target)
                return attempt, Holding(self._counters, target, held, estimate, cut=self._enforced.cut)
            refusal = refusal or held.refusal
            if held.tier is None or held.tier.kind not in ("provider", "key_provider"):
                return held.refusal
        if refusal is None:
            raise ValueError("a route must name at least one target")
        return refusal

    def _new_attempt(self, trip: Trip, number: int, target: Target) -> Attempt:
        attempt = Attempt(trip.key, trip.call, number, target)
        attempt.cache = trip.cache_mark
        query = trip.query
        if query is not None and self.look_up is not None:
            attempt.cache_id = query.id.hex()
            attempt.keep_bytes = self.look_up.cache.entry_bytes if query.store else 0
        return attempt

    def _estimate(self, trip: Trip, target: Target) -> Estimate:
        """The executor's estimate, with what this key's answers of this model have taught."""
        estimate = trip.dispatch.estimate(target)
        if not estimate.expected_output_tokens:
            return estimate
        expected = self._expected.tokens(trip.key.principal.key, target.name, estimate.expected_output_tokens)
        if estimate.max_output_tokens is not None:
            expected = min(expected, estimate.max_output_tokens)
        return msgspec.structs.replace(estimate, expected_output_tokens=expected)

    async def _fly(self, flight: Flight[Settled], trip: Trip, reserved: tuple[Attempt, Holding]) -> Settled:
        """One attempt after another until one answers, or none is left to try."""
        settled: Settled | None = None
        try:
            while True:
                attempt, holding = reserved
                settled = await self._attempt(flight, trip, attempt, holding)
                following = await self._next(flight, trip, attempt, settled.outcome)
                if following is None:
                    return settled
                reserved = following
        finally:
            flight.land()
            self._flights.discard(flight)
            self._deadlines.forget(flight, trip.terms.deadline_s)
            if self.look_up is not None:
                self.look_up.landed(trip, flight, settled)

    async def _next(
        self, flight: Flight[Settled], trip: Trip, attempt: Attempt, outcome: Outcome
    ) -> tuple[Attempt, Holding] | None:
        """The next attempt after one that failed before anything was emitted; it has a hold of its own."""
        if outcome.kind != "failed" or attempt.committed or flight.cancelled is not None:
            return None
        following = trip.dispatch.following(attempt, outcome)
        if following is None or not await self._waited(flight, trip, following.pause_s):
            return None
        reserved = await self._reserve(trip, attempt.number + 1, following.targets)
        if isinstance(reserved, Refusal):
            return None
        reserved[0].reason = following.reason
        return reserved

    async def _waited(self, flight: Flight[Settled], trip: Trip, pause_s: float) -> bool:
        """Pause before a retry; false if the call was taken back meanwhile, or would end before it."""
        if not pause_s:
            return True
        if trip.ends_s - flight.loop.time() <= pause_s:
            return False
        flight.take_off()
        try:
            await asyncio.sleep(pause_s)
        except asyncio.CancelledError:
            if flight.cancelled is None:
                raise
            return False
        finally:
            flight.land()
        return flight.cancelled is None

    async def _attempt(self, flight: Flight[Settled], trip: Trip, attempt: Attempt, holding: Holding) -> Settled:
        """Dispatch and settle. However this ends, the hold is settled and the row recorded."""
        outcome = _DEFECT
        flight.take_off()
        attempt.fly(flight, self._tool_uses)
        attempt.covered_bytes = holding.covered_bytes()
        attempt.grow = lambda: self._grow(attempt, holding)
        try:
            self._open(attempt, holding)
            outcome = await self._dispatch(flight, trip, attempt)
        except Exception as defect:  # noqa: BLE001 - supervision boundary: the caller gets an outcome, the operator a log
            report_defect(f"call {attempt.call.context.call_id} failed inside the gate", defect)
        finally:
            flight.land()
            attempt.grow = None  # it holds the attempt: a circle per call, which only the collector could undo
            settled = await self._settle(attempt, holding, outcome)
        return settled

    async def _grow(self, attempt: Attempt, holding: Holding) -> bool:
        before = holding.hold
        goes_on = await holding.grow(attempt, self._clock())
        if holding.hold is not before:
            # If the process dies now, what was held last is what the call is charged.
            self._open(attempt, holding)
        return goes_on

    def _open(self, attempt: Attempt, holding: Holding) -> None:
        holding.opened = open_row(attempt, holding.hold, holding.estimate)
        self._ledger.open(holding.opened)

    async def _dispatch(self, flight: Flight[Settled], trip: Trip, attempt: Attempt) -> Outcome:
        """Make the attempt, unless it is cancelled."""
        try:
            return await trip.dispatch.run(attempt)
        except asyncio.CancelledError as stray:
            if flight.cancelled is None and not _cancelling():
                raise RuntimeError("the executor raised a cancellation that nobody asked for") from stray
            if flight.cancelled == "deadline":
                return _timed_out(trip.terms.deadline_s)
            return _CANCELLED if flight.cancelled == "caller" else _STOPPED

    async def _settle(self, attempt: Attempt, holding: Holding, outcome: Outcome) -> Settled:
        charged = charge(attempt, holding.estimate, outcome)
        hold = holding.hold
        opened = holding.opened or open_row(attempt, hold, holding.estimate)
        row = settled_row(opened, attempt, outcome, charged, self._clock())
        try:
            self._ledger.record(row)
        finally:
            await self._counters.settle(hold, charged.cost_nano, charged.usage.total)
        if charged.basis == "measured" and isinstance(attempt.call, ModelCall) and charged.usage.output_tokens:
            self._expected.observe(attempt.key.principal.key, attempt.target.name, charged.usage.output_tokens)
        return Settled(outcome, row)

    def _refuse(self, key: VirtualKey | None, call: Call, refusal: Refusal, *, metered: bool = False) -> Refusal:
        self._ledger.record(refused_row(key, call, refusal, self._clock(), metered=metered))
        return refusal


_CANCELLED = Outcome(kind="cancelled", code="cancelled", message="The caller left before the answer was complete.")
_STOPPED = Outcome(
    kind="cancelled", code="shutting_down", message="The gate stopped before the answer was complete: try again."
)
_DEFECT = Outcome(
    kind="failed", code="internal_error", message="The gate failed inside; the operator's log has the reason."
)


def _timed_out(seconds: float) -> Outcome:
    return Outcome(kind="failed", code="deadline_exceeded", message=f"No complete answer within {seconds:g} seconds.")


def _cancelling() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
