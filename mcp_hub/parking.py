"""Calls that wait for a modern client's answer: bounded, bound to their principal, ended when nobody comes.

A modern client cannot be asked; it calls again. Until then the call of a member of the initialize era goes on
here, with its question open.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from typing import Any

from mcp_hub.dispatch import MemberDispatch
from policies.flight import Flight


@dataclass(frozen=True, slots=True)
class ParkingRules:
    """How many calls may wait, and how long."""

    per_key: int = 16
    total: int = 1_000
    seconds: float = 600.0


@dataclass(frozen=True, slots=True)
class ParkedCall:
    """A call under way, and what it asks."""

    principal: str
    flight: Flight[Any]
    dispatch: MemberDispatch
    timer: asyncio.TimerHandle


class ParkingLot:
    """All calls that wait."""

    def __init__(self, rules: ParkingRules) -> None:
        self._rules = rules
        self._parked: dict[str, ParkedCall] = {}

    def __len__(self) -> int:
        return len(self._parked)

    def park(self, principal: str, flight: Flight[Any], dispatch: MemberDispatch) -> str | None:
        """Let the call wait; ``None`` when there is no room. It is cancelled when nobody comes in time."""
        mine = sum(1 for parked in self._parked.values() if parked.principal == principal)
        if len(self._parked) >= self._rules.total or mine >= self._rules.per_key:
            return None
        name = secrets.token_urlsafe(16)
        timer = asyncio.get_running_loop().call_later(self._rules.seconds, self._expire, name)
        flight.on_abandon = "keep"
        self._parked[name] = ParkedCall(principal, flight, dispatch, timer)
        return name

    def take(self, name: str, principal: str) -> ParkedCall | None:
        """The call, if it is this principal's; from now on its client's leaving ends it again."""
        parked = self._parked.get(name)
        if parked is None or parked.principal != principal:
            return None
        del self._parked[name]
        parked.timer.cancel()
        return parked

    def _expire(self, name: str) -> None:
        parked = self._parked.pop(name, None)
        if parked is not None:
            parked.flight.cancel()
