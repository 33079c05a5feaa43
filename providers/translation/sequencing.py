"""Puts the events of a stream into an order in which one thing ends before the next begins.

Vendors may tell parallel calls alternately; some dialects cannot (a closed block of Anthropic's cannot be opened
again). What comes while a call's arguments are incomplete waits for them; everything else passes at once.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from providers.canonical.answer import CallDelta, CallStarted, Ended, Event, Failed

_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class Sequencer:
    """Of one stream."""

    __slots__ = ("_open", "_parts", "_waiting")

    def __init__(self) -> None:
        self._open: int | None = None
        self._parts: list[str] = []
        self._waiting: list[Event] = []

    def order(self, events: Iterable[Event]) -> list[Event]:
        """The events that can be told now, in order."""
        ready: list[Event] = []
        for event in events:
            self._take(event, ready)
        return ready

    def _take(self, event: Event, ready: list[Event]) -> None:
        if self._open is None:
            self._pass(event, ready)
        elif isinstance(event, CallDelta) and event.index == self._open:
            self._parts.append(event.json)
            ready.append(event)
            if self._waiting and event.json.rstrip().endswith("}") and self._complete():
                self._release(ready)
        elif isinstance(event, Ended | Failed):
            while self._waiting:
                self._release(ready)
            ready.append(event)
        elif not self._waiting and self._complete():
            self._open = None
            self._pass(event, ready)
        else:
            self._waiting.append(event)

    def _pass(self, event: Event, ready: list[Event]) -> None:
        if isinstance(event, CallDelta):
            return  # white space behind complete arguments: nothing else can stand there
        if isinstance(event, CallStarted):
            self._open = event.index
            self._parts.clear()
        ready.append(event)

    def _release(self, ready: list[Event]) -> None:
        """What waited for the open call goes on, until another call is incomplete."""
        waiting, self._waiting, self._open = self._waiting, [], None
        for event in waiting:
            self._take(event, ready)

    def _complete(self) -> bool:
        """The open call's arguments are whole. None yet is not whole: they may still come."""
        try:
            _decode("".join(self._parts))
        except msgspec.MsgspecError:
            return False
        return True
