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

from policies.counters import Counters, Hold
from policies.dispatch import Attempt, Dispatch, Target
from policies.flight import Flight, OnAbandon, report_defect
from policies.identity import VirtualKey
from policies.ledger import Ledger, LedgerRow, OpenEntry
from policies.rows import open_row, refused_row, settled_row
from policies.runs import ToolUseIndex
from policies.settlement import charge
from policies.tiers import Tier
from policies.types import Call, Estimate, Outcome, Refusal


class Settled(msgspec.Struct, frozen=True):
    """How a flight ended: the outcome for the caller and the row for the books."""

    outcome: Outcome
    row: LedgerRow


@dataclass(frozen=True, slots=True)
class Terms:
    """How a flight is flown: what leaving means, and how long it may take (seconds)."""

    on_abandon: OnAbandon = "cancel"
    deadline_s: float = 600.0


_TERMS = Terms()
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
        *,
        strict: bool = False,
    ) -> None:
        self._counters = counters
        self._ledger = ledger
        self._tool_uses = tool_uses
        self._clock = clock
        self._strict = strict
        self._flights: set[Flight[Settled]] = set()
        self._stranger_second = 0
        self._stranger_rows = 0

    async def enter(
        self, key: VirtualKey, call: Call, dispatch: Dispatch, terms: Terms = _TERMS
    ) -> Flight[Settled] | Refusal:
        """Walk the path up to the first reserve. A refusal is on the ledger when it is returned."""
        refusal = dispatch.admit(key)
        if refusal is not None:
            return self._refuse(key, call, refusal)
        targets = dispatch.route(key)
        if isinstance(targets, Refusal):
            return self._refuse(key, call, targets)
        if call.context.origin == "client":
            metered = await self._counters.meter(key.tiers, self._clock())
            if metered is not None:
                return self._refuse(key, call, metered.refusal)
        reserved = await self._reserve(key, targets, dispatch)
        if isinstance(reserved, Refusal):
            return self._refuse(key, call, reserved)
        target, hold, estimate = reserved
        attempt = Attempt(key, call, 1, target)
        flight: Flight[Settled] = Flight(on_abandon=terms.on_abandon)
        self._flights.add(flight)
        attempt.fly(flight, self._tool_uses)
        flight.start(lambda _: self._fly(flight, attempt, hold, estimate, dispatch, terms))
        return flight

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

    async def _reserve(
        self, key: VirtualKey, targets: Sequence[Target], dispatch: Dispatch
    ) -> tuple[Target, Hold, Estimate] | Refusal:
        """Hold on every tier of the first target that has room. A target whose own tier is exhausted
        is skipped; a payer's exhaustion is final."""
        refusal: Refusal | None = None
        for target in targets:
            estimate = dispatch.estimate(target)
            strict = self._strict or _any_strict(key.tiers) or _any_strict(target.tiers)
            cost = target.price.hold(estimate, strict=strict)
            tokens = estimate.input_tokens
            tokens += estimate.max_output_tokens if strict else estimate.expected_output_tokens
            held = await self._counters.reserve(key.tiers, target.tiers, cost, tokens, self._clock())
            if isinstance(held, Hold):
                return target, held, estimate
            refusal = refusal or held.refusal
            if held.tier.kind not in ("provider", "key_provider"):
                return held.refusal
        if refusal is None:
            raise ValueError("a route must name at least one target")
        return refusal

    async def _fly(
        self,
        flight: Flight[Settled],
        attempt: Attempt,
        hold: Hold,
        estimate: Estimate,
        dispatch: Dispatch,
        terms: Terms,
    ) -> Settled:
        """Dispatch and settle. However this ends, the hold is settled and the row recorded."""
        outcome = _DEFECT
        try:
            self._ledger.open(OpenEntry(row=open_row(attempt, hold, estimate)))
            outcome = await self._dispatch(flight, attempt, dispatch, terms.deadline_s)
        except Exception as defect:  # noqa: BLE001 - supervision boundary: the caller gets an outcome, the operator a log
            report_defect(f"call {attempt.call.context.call_id} failed inside the gate", defect)
        finally:
            flight.land()
            try:
                settled = await self._settle(attempt, hold, estimate, outcome)
            finally:
                self._flights.discard(flight)
        return settled

    async def _dispatch(
        self, flight: Flight[Settled], attempt: Attempt, dispatch: Dispatch, deadline_s: float
    ) -> Outcome:
        """Make the attempt, within its deadline, unless it is cancelled."""
        try:
            async with asyncio.timeout(deadline_s) as deadline:
                return await dispatch.run(attempt)
        except TimeoutError:
            if not deadline.expired():
                raise
            return _timed_out(deadline_s)
        except asyncio.CancelledError as stray:
            if flight.cancelled is None and not _cancelling():
                raise RuntimeError("the executor raised a cancellation that nobody asked for") from stray
            return _CANCELLED if flight.cancelled == "caller" else _STOPPED

    async def _settle(self, attempt: Attempt, hold: Hold, estimate: Estimate, outcome: Outcome) -> Settled:
        charged = charge(attempt, estimate, outcome)
        row = settled_row(attempt, outcome, charged, self._clock())
        try:
            self._ledger.record(row)
        finally:
            await self._counters.settle(hold, charged.cost_nano, charged.usage.total)
        return Settled(outcome, row)

    def _refuse(self, key: VirtualKey | None, call: Call, refusal: Refusal) -> Refusal:
        self._ledger.record(refused_row(key, call, refusal, self._clock()))
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


def _any_strict(tiers: Sequence[Tier]) -> bool:
    """Whether a tier holds the most that a call may use; then all of them do, as there is one hold."""
    return any(tier.enforcement == "strict" for tier in tiers)


def _cancelling() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
