"""The key of a call that the gate makes in a caller's stead: the caller pays, the operator's route admits.

A tool's sampling request is answered by the model that the operator configured, whether or not the caller's own
grants name it: the caller asked for the tool, not for the model.
"""

from __future__ import annotations

from dataclasses import replace
from weakref import WeakKeyDictionary

from policies.admission import Grants
from policies.flight import Journey
from policies.grants import Grant, GrantSet
from policies.identity import VirtualKey
from policies.trip import Settled
from policies.types import Outcome


class ChildKeys:
    """For one configured model. One derived key per caller's key, so that its route is resolved once."""

    def __init__(self, model: str) -> None:
        self._grants = Grants(models=GrantSet((Grant.of([model, f"*/{model}"]),)))
        self._derived: WeakKeyDictionary[VirtualKey, VirtualKey] = WeakKeyDictionary()

    def of(self, key: VirtualKey) -> VirtualKey:
        """``key`` with its payers and limits, and with the configured model as its one grant."""
        derived = self._derived.get(key)
        if derived is None:
            derived = self._derived[key] = replace(key, grants=self._grants)
        return derived


async def outcome_of(entered: Journey[Settled] | Settled) -> Outcome:
    """How a child call ended; it is cancelled with the caller's own wait."""
    if isinstance(entered, Settled):
        return entered.outcome
    listener = entered.listen()
    try:
        return (await entered.wait()).outcome
    finally:
        listener.leave()
