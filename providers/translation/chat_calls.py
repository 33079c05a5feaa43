"""Tells the calls of a chat stream apart (``choices[].delta.tool_calls`` of
https://platform.openai.com/docs/api-reference/chat-streaming).

By OpenAI's rules a call has its own ``index``, and its id and name stand in its first piece only. Vendors leave the
index out, give every call index 0, repeat the id in every piece, name a call after its first arguments, or never give
an id. So: a known id is that call; a new id is a new call, whatever its index; a piece without an id goes to the call
at its index, and without an index to the call that was told last, unless it names a call while that one is complete.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from policies.ids import new_id
from providers.canonical.answer import CallDelta, CallStarted, Event
from providers.translation.chat_wire import WireCall, arguments_text
from providers.translation.custom_tools import FIELD

_INPUT_BEGINS = f'{{"{FIELD}":"'
_INPUT_ENDS = '"}'

_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class _Call:
    __slots__ = ("custom", "id", "index", "name", "pieces", "started")

    def __init__(self, index: int) -> None:
        self.index = index
        self.id = ""
        self.name = ""
        self.custom = False
        self.pieces: list[str] = []
        self.started = False

    def complete(self) -> bool:
        try:
            _object("".join(self.pieces))
        except msgspec.MsgspecError:
            return False
        return True

    def start(self, found: list[Event]) -> None:
        self.started = True
        found.append(CallStarted(self.index, self.id or new_id("call_"), self.name, custom=self.custom))
        found.extend(CallDelta(self.index, piece) for piece in self.pieces)

    def add(self, piece: str, found: list[Event]) -> None:
        if not piece:
            return
        self.pieces.append(piece)
        if self.started:
            found.append(CallDelta(self.index, piece))


class Calls:
    """Of one stream."""

    __slots__ = ("_at", "_calls", "_known", "_last")

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._known: dict[str, _Call] = {}
        self._at: dict[int, _Call] = {}
        self._last: _Call | None = None

    def __len__(self) -> int:
        return len(self._calls)

    def take(self, pieces: Sequence[WireCall], found: list[Event]) -> None:
        """The pieces of one chunk."""
        for position, piece in enumerate(pieces):
            place = piece.index
            if place is None and len(pieces) > 1:
                place = -1 - position
            call = self._call_of(piece, place)
            if call is not None:
                self._last = call
                if place is not None:
                    self._at[place] = call
                _tell(call, piece, found)

    def close(self, found: list[Event]) -> None:
        """The answer has ended: nothing of a call may be missing."""
        for call in self._calls:
            if not call.started:
                call.start(found)
            if call.custom:
                call.add(_INPUT_ENDS if call.pieces else _INPUT_BEGINS + _INPUT_ENDS, found)
            elif not call.pieces:
                call.add("{}", found)

    def _call_of(self, piece: WireCall, place: int | None) -> _Call | None:
        if piece.id and (known := self._known.get(piece.id)) is not None:
            return known
        call = self._at.get(place) if place is not None else self._last
        name = _name(piece)
        if piece.id:
            if call is None or call.id or call.started or (name and call.name):
                call = self._new()
            call.id = piece.id
            self._known[piece.id] = call
            return call
        if call is None and not name and (self._last is not None or not _says(piece)):
            return self._last
        return self._new() if call is None or _begins_another(call, piece, name) else call

    def _new(self) -> _Call:
        call = _Call(len(self._calls))
        self._calls.append(call)
        return call


def _begins_another(call: _Call, piece: WireCall, name: str) -> bool:
    """A piece without an id: some vendors repeat the name in each, others begin the next call with one."""
    if not name or not call.name:
        return False
    if name != call.name:
        return True
    return piece.function is not None and bool(piece.function.arguments) and call.complete()


def _name(piece: WireCall) -> str:
    if piece.custom is not None:
        return piece.custom.name or ""
    return (piece.function.name or "") if piece.function is not None else ""


def _says(piece: WireCall) -> bool:
    return piece.custom is not None or (piece.function is not None and bool(piece.function.arguments))


def _tell(call: _Call, piece: WireCall, found: list[Event]) -> None:
    if piece.custom is not None:
        call.custom = True
    if not call.name:
        call.name = _name(piece)
    if call.name and not call.started:
        call.start(found)
    if piece.custom is not None:
        if piece.custom.input:
            words = msgspec.json.encode(piece.custom.input).decode()[1:-1]
            call.add(words if call.pieces else _INPUT_BEGINS + words, found)
    elif piece.function is not None:
        call.add(arguments_text(piece.function.arguments), found)
