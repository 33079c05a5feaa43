"""Decodes a stream of OpenAI's responses (https://platform.openai.com/docs/api-reference/responses-streaming).

What came by pieces is not told again when its item is done; a provider that sends no pieces is told by whole items.
Calls are told apart by the ids of their items, and by ``output_index`` where a provider gives none.
"""

from __future__ import annotations

import msgspec

from policies.ids import new_id
from providers.canonical.answer import (
    CallDelta,
    CallStarted,
    Ended,
    Event,
    Failed,
    ReasoningDelta,
    ReasoningSealed,
    Started,
    TextDelta,
)
from providers.translation.custom_tools import FIELD
from providers.translation.responses_answer_reader import arguments_text, thought_of
from providers.translation.responses_wire import CALLS, WireError, WireItem, WireResponse
from providers.translation.sse_decoder import SseDecoder


class _Event(msgspec.Struct):
    type: str = ""
    response: WireResponse | None = None
    item: WireItem | None = None
    item_id: str | None = None
    output_index: int = 0
    summary_index: int = 0
    content_index: int = 0
    delta: str | None = None
    error: WireError | None = None
    code: str | None = None
    message: str | None = None


class _Call(msgspec.Struct):
    index: int
    custom: bool
    begun: bool = False
    """Some of its arguments have been told."""
    done: bool = False


_decode = msgspec.json.Decoder(_Event).decode
_TEXTS = frozenset({"response.output_text.delta", "response.refusal.delta"})
_THOUGHTS = frozenset({"response.reasoning_summary_text.delta", "response.reasoning_text.delta"})
_ARGUMENTS = frozenset({"response.function_call_arguments.delta", "response.custom_tool_call_input.delta"})
_ENDS = frozenset({"response.completed", "response.incomplete"})


class ResponsesDecoder(SseDecoder):
    """``providers.translation.base.StreamDecoder``."""

    __slots__ = ("_by_id", "_by_pieces", "_by_place", "_calls", "_refused", "_started", "_thought_at")

    def __init__(self) -> None:
        super().__init__()
        self._started = False
        self._refused = False
        self._calls: list[_Call] = []
        self._by_id: dict[str, _Call] = {}
        self._by_place: dict[int, _Call] = {}
        self._by_pieces: set[str] = set()
        """What is told by pieces: messages, thoughts. A provider does so for all of a kind, or for none."""
        self._thought_at: tuple[str | int, str, int] | None = None

    def _read(self, data: bytes, found: list[Event]) -> None:
        try:
            said = _decode(data)
        except msgspec.MsgspecError:
            return
        if said.type in _ENDS or said.type == "response.failed" or said.type == "error":
            self._end(said, found)
            return
        if said.response is not None:
            self._start(said.response, found)
        elif said.type in _TEXTS:
            self._text(said, found)
        elif said.type in _THOUGHTS:
            self._thought(said, found)
        elif said.type in _ARGUMENTS:
            self._arguments(said, found)
        elif said.item is not None and said.type == "response.output_item.added":
            if said.item.type in CALLS:
                self._open(said, said.item, found)
        elif said.item is not None and said.type == "response.output_item.done":
            self._done(said, said.item, found)

    def _close(self, found: list[Event]) -> None:
        """Only the last event says how it ended."""

    def _start(self, response: WireResponse, found: list[Event]) -> None:
        if not self._started:
            self._started = True
            found.append(Started(response.id or new_id("resp_")))

    def _text(self, said: _Event, found: list[Event]) -> None:
        self._refused = self._refused or said.type == "response.refusal.delta"
        if said.delta:
            self._by_pieces.add("message")
            found.append(TextDelta(said.delta))

    def _thought(self, said: _Event, found: list[Event]) -> None:
        """Parts of one thought are parted as in the whole answer."""
        if not said.delta:
            return
        before = self._thought_at
        at = (said.item_id or said.output_index, said.type, said.summary_index or said.content_index)
        if before is not None and before[0] == at[0] and before != at:
            found.append(ReasoningDelta("\n\n"))
        self._thought_at = at
        self._by_pieces.add("reasoning")
        found.append(ReasoningDelta(said.delta))

    def _open(self, said: _Event, item: WireItem, found: list[Event]) -> _Call:
        call = _Call(len(self._calls), item.type == "custom_tool_call")
        self._calls.append(call)
        if item.id:
            self._by_id[item.id] = call
        self._by_place[said.output_index] = call
        name = item.call_id or item.id or new_id("call_")
        found.append(CallStarted(call.index, name, item.name or "", item.namespace or "", call.custom))
        return call

    def _known(self, said: _Event, name: str | None) -> _Call | None:
        return self._by_id.get(name or "") or self._by_place.get(said.output_index)

    def _arguments(self, said: _Event, found: list[Event]) -> None:
        call = self._known(said, said.item_id)
        if call is None or not said.delta:
            return
        if call.custom:
            piece = _escaped(said.delta)
            found.append(CallDelta(call.index, piece if call.begun else f'{{"{FIELD}":"{piece}'))
        else:
            found.append(CallDelta(call.index, said.delta))
        call.begun = True

    def _done(self, said: _Event, item: WireItem, found: list[Event]) -> None:
        if item.type in CALLS:
            call = self._known(said, item.id)
            self._finish_call(self._open(said, item, found) if call is None else call, item, found)
        elif item.type == "reasoning":
            self._finish_thought(item, found)
        elif item.type == "message" and "message" not in self._by_pieces:
            self._refused = self._refused or any(part.refusal for part in item.content or ())
            if text := "".join(part.text or part.refusal or "" for part in item.content or ()):
                found.append(TextDelta(text))

    def _finish_call(self, call: _Call, item: WireItem, found: list[Event]) -> None:
        if call.done:
            return
        call.done = True
        if call.custom:
            whole = f'{{"{FIELD}":"{_escaped(item.input or "")}"}}'
            found.append(CallDelta(call.index, '"}' if call.begun else whole))
        elif not call.begun:
            found.append(CallDelta(call.index, arguments_text(item)))

    def _finish_thought(self, item: WireItem, found: list[Event]) -> None:
        thought = thought_of(item)
        if thought is None:
            return
        if thought.text and "reasoning" not in self._by_pieces:
            found.append(ReasoningDelta(thought.text))
        if thought.seal:
            found.append(ReasoningSealed(thought.seal, thought.dialect, thought.redacted, thought.id))

    def _end(self, said: _Event, found: list[Event]) -> None:
        response = said.response or WireResponse()
        if said.type in _ENDS:
            self._start(response, found)
            stop = response.stop(calls=bool(self._calls), refused=self._refused)
            found.append(Ended(stop, response.usage.normal() if response.usage else None))
            return
        error = response.error or said.error or WireError(said.code, said.message)
        found.append(Failed(str(error.code or "server_error"), error.message or "The provider failed."))


def _escaped(text: str) -> str:
    """As it stands between the quotes of a JSON string."""
    return msgspec.json.encode(text)[1:-1].decode()
