"""The step between meter and reserve: a call that takes part is answered from the cache, joins the flight of an
identical call, or leads.

exact entry → somebody's flight → near entry → depart. Who leads is decided before anything is awaited that
could let two identical calls pass each other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from policies.caching.cache import Cache, Paid
from policies.caching.coalescing import Coalescing, Shared
from policies.caching.vocabulary import Found, Kept, Query
from policies.flight import Flight, Listener
from policies.ledger import Ledger
from policies.rows import follower_row, hit_row
from policies.runs import ToolUseIndex
from policies.trip import Settled, Trip
from policies.types import Outcome, Refusal

Depart = Callable[[Trip], Awaitable[Flight[Settled] | Refusal]]


class Follower:
    """A call that travels on an identical one's flight: ``policies.flight.Journey``."""

    __slots__ = ("_flight", "_listener", "_settled", "trip")

    def __init__(self, flight: Flight[Settled], trip: Trip) -> None:
        self._flight = flight
        self.trip = trip
        # At once: the flight must not be taken for abandoned before this caller has begun to read.
        self._listener = flight.listen(follows=True)
        self._settled: asyncio.Future[Settled] = asyncio.get_running_loop().create_future()

    @property
    def done(self) -> bool:
        return self._settled.done()

    @property
    def left(self) -> bool:
        return self._listener.left

    def listen(self) -> Listener:
        return self._listener

    async def wait(self) -> Settled:
        await self._flight.ended()
        return await asyncio.shield(self._settled)

    def cancel(self) -> None:
        self._listener.leave()

    def settle(self, settled: Settled) -> None:
        self._settled.set_result(settled)

    def fail(self, defect: Exception) -> None:
        self._settled.set_exception(defect)


Entered = Flight[Settled] | Follower | Settled | Refusal
"""What becomes of a call at the gate: it travels, on its own flight or another's, or is answered from the cache, or
is refused."""


class LookUp:
    """Composed once per process."""

    def __init__(self, cache: Cache, ledger: Ledger, tool_uses: ToolUseIndex, clock: Callable[[], int]) -> None:
        self.cache = cache
        self._ledger = ledger
        self._tool_uses = tool_uses
        self._clock = clock
        self._coalescing = Coalescing()
        self._followers: dict[Flight[Settled], list[Follower]] = {}

    @property
    def followers(self) -> int:
        """Calls that travel on another's flight now."""
        return sum(map(len, self._followers.values()))

    async def answer(self, trip: Trip, query: Query, depart: Depart) -> Entered:
        """The call's end or its journey; ``depart`` reserves and takes off."""
        while True:
            hit = self._hit(trip, await self.cache.exact(query))
            if hit is not None:
                return hit
            if query.flight is None:
                return (await self._further(trip, query, depart))[0]
            lead = self._coalescing.leading(query.flight) if query.read else None
            if lead is None:
                return await self._lead(trip, query, query.flight, depart)
            shared = await lead.decided()
            if isinstance(shared, Found) and (hit := self._hit(trip, shared)) is not None:
                return hit
            if isinstance(shared, Flight) and shared.joinable:
                return self._join(trip, shared)

    async def _lead(self, trip: Trip, query: Query, flight_id: bytes, depart: Depart) -> Entered:
        with self._coalescing.lead(flight_id) as lead:
            entered, shared = await self._further(trip, query, depart)
            lead.share(shared)
            return entered

    async def _further(self, trip: Trip, query: Query, depart: Depart) -> tuple[Entered, Shared]:
        """Beyond the exact answer; and what identical calls may have of it."""
        found, likeness = await self.cache.near(trip.key, trip.call.context, query)
        hit = self._hit(trip, found)
        if hit is not None:
            return hit, found
        flight = await depart(msgspec.structs.replace(trip, likeness=likeness))
        return flight, flight if isinstance(flight, Flight) else None

    def _hit(self, trip: Trip, found: Found | None) -> Settled | None:
        """The end of a call that the cache answers; ``None`` if what was found does not fit its form."""
        if found is None:
            return None
        replayed = trip.dispatch.replay(found.entry.kept(self._clock()))
        if replayed is None:
            return None
        for tool_use_id in replayed.tool_use_ids:
            self._tool_uses.remember(trip.key.principal.key, tool_use_id, trip.call.context)
        row = hit_row(trip.key, trip.call, found, self._clock())
        self._ledger.record(row)
        return Settled(Outcome(kind="ok", reply=replayed.reply), row)

    def _join(self, trip: Trip, flight: Flight[Settled]) -> Follower:
        follower = Follower(flight, trip)
        self._followers.setdefault(flight, []).append(follower)
        return follower

    def landed(self, trip: Trip, flight: Flight[Settled], settled: Settled | None) -> None:
        """The flight has ended: its answer is kept if it may be given again, and those who joined have their rows."""
        query = trip.query
        if query is None:
            return
        kept = settled.outcome.kept if settled is not None and settled.outcome.kind == "ok" else None
        if settled is not None and isinstance(kept, Kept):
            paid = Paid(settled.row.provider or "", settled.row.cost_nano)
            self.cache.keep(query, kept, paid, trip.likeness)
        if query.flight is not None:
            self._coalescing.landed(query.flight, flight)
        for follower in self._followers.pop(flight, ()):
            if settled is None:
                follower.fail(RuntimeError("the flight that this call joined failed"))
                continue
            own = follower.trip
            row = follower_row(own.key, own.call, settled.row, self._clock(), left=follower.left)
            self._ledger.record(row)
            follower.settle(Settled(settled.outcome, row))
