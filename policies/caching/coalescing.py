"""Identical calls in flight share one flight.

The first one leads: it looks further, reserves, and departs. Those that come meanwhile wait until that is
decided, then join its flight, or take the entry that it found. What the leader is refused is its own affair:
then the next one leads. Equality is the query's ``flight``, which holds the partition: no call joins
another principal's flight.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from policies.caching.vocabulary import Found
from policies.flight import Flight

Shared = Flight[Any] | Found | None
"""What a leader leaves to those behind it; ``None``: nothing."""


class Lead:
    """The place of one leading call."""

    __slots__ = ("_decided",)

    def __init__(self) -> None:
        self._decided: asyncio.Future[Shared] = asyncio.get_running_loop().create_future()

    def share(self, what: Shared) -> None:
        if not self._decided.done():
            self._decided.set_result(what)

    @property
    def useful(self) -> bool:
        """Undecided, or still to be joined."""
        if not self._decided.done():
            return True
        shared = self._decided.result()
        return isinstance(shared, Flight) and shared.joinable

    def leads(self, flight: Flight[Any]) -> bool:
        return self._decided.done() and self._decided.result() is flight

    async def decided(self) -> Shared:
        return await asyncio.shield(self._decided)


class Coalescing:
    """The leading calls of one process."""

    def __init__(self) -> None:
        self._leads: dict[bytes, Lead] = {}

    def leading(self, flight_id: bytes) -> Lead | None:
        """Whom to wait for."""
        lead = self._leads.get(flight_id)
        return lead if lead is not None and lead.useful else None

    @contextmanager
    def lead(self, flight_id: bytes) -> Iterator[Lead]:
        """Be the one. However this ends, nobody waits for it any longer."""
        lead = self._leads[flight_id] = Lead()
        try:
            yield lead
        finally:
            lead.share(None)
            if not lead.useful:
                self._drop(flight_id, lead)

    def landed(self, flight_id: bytes, flight: Flight[Any]) -> None:
        """The flight has ended: nobody joins it from now on."""
        lead = self._leads.get(flight_id)
        if lead is not None and lead.leads(flight):
            del self._leads[flight_id]

    def _drop(self, flight_id: bytes, lead: Lead) -> None:
        if self._leads.get(flight_id) is lead:
            del self._leads[flight_id]
