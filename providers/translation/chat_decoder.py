"""Decodes a stream of chat completions (https://platform.openai.com/docs/api-reference/chat-streaming).

Usage may stand in a chunk of its own, beside the last words, in every chunk, or under ``x_groq``
(https://console.groq.com/docs/api-reference); the last one counts. The end is ``[DONE]``, or where a vendor leaves that
out, the end of the connection after a finish reason.
"""

from __future__ import annotations

import msgspec

from policies.ids import new_id
from policies.types import Usage
from providers.canonical.answer import (
    Ended,
    Event,
    Failed,
    ReasoningDelta,
    ReasoningSealed,
    Started,
    TextDelta,
)
from providers.canonical.parts import Reasoning
from providers.translation.chat_calls import Calls
from providers.translation.chat_wire import (
    FAILED,
    WireCall,
    WireCompletion,
    WireMessage,
    decode_completion,
    error_of,
    spoken,
    stop_of,
    thoughts_of,
)
from providers.translation.sse_decoder import SseDecoder

_decode_error = msgspec.json.Decoder().decode


class ChatDecoder(SseDecoder):
    """``providers.translation.base.StreamDecoder``."""

    __slots__ = ("_calls", "_reason", "_refused", "_started", "_thinking", "_usage")

    def __init__(self) -> None:
        super().__init__()
        self._calls = Calls()
        self._reason: str | None = None
        self._refused = False
        self._started = False
        self._thinking = False
        self._usage: Usage | None = None

    def _take(self, event: bytes, found: list[Event]) -> None:
        """Some vendors send the body of an error as it is, where an event was due."""
        bare = event.lstrip().startswith(b"{")
        super()._take(b"data: " + b" ".join(event.splitlines()) if bare else event, found)

    def _read(self, data: bytes, found: list[Event]) -> None:
        if data.strip() == b"[DONE]":
            self._end("", found)
            return
        try:
            said = decode_completion(data)
        except msgspec.MsgspecError:
            return
        if said.error is not None:
            found.append(Failed(*error_of(said.error)))
        elif said.choices is None and isinstance(said.message, str):
            found.append(Failed(*error_of(_decode_error(data))))
        else:
            self._chunk(said, found)

    def _close(self, found: list[Event]) -> None:
        if self._reason is not None:
            self._end(self._reason, found)

    def _chunk(self, said: WireCompletion, found: list[Event]) -> None:
        self._usage = said.used() or self._usage
        choice = said.first()
        if choice is None:
            return
        if not self._started:
            self._start(said.id, found)
        if choice.error is not None or choice.finish_reason == FAILED:
            found.append(Failed(*error_of(choice.error or {})))
            return
        if choice.delta is not None:
            self._delta(choice.delta, found)
        self._reason = choice.finish_reason or self._reason

    def _start(self, name: str | None, found: list[Event]) -> None:
        self._started = True
        found.append(Started(name or new_id("chatcmpl-"), self._usage))

    def _delta(self, delta: WireMessage, found: list[Event]) -> None:
        for thought in thoughts_of(delta):
            self._think(thought, found)
        for is_thought, words in spoken(delta.content):
            if words:
                self._thinking = is_thought
                found.append(ReasoningDelta(words) if is_thought else TextDelta(words))
        if delta.refusal:
            self._refused, self._thinking = True, False
            found.append(TextDelta(delta.refusal))
        calls = delta.tool_calls
        if calls is None and delta.function_call is not None:
            calls = [WireCall(index=0, function=delta.function_call)]
        if calls:
            self._thinking = False
            self._calls.take(calls, found)

    def _think(self, thought: Reasoning, found: list[Event]) -> None:
        if thought.text:
            self._thinking = True
            found.append(ReasoningDelta(thought.text))
        if thought.seal:
            redacted = thought.redacted and not self._thinking
            self._thinking = False
            found.append(ReasoningSealed(thought.seal, thought.dialect, redacted, thought.id))

    def _end(self, reason: str, found: list[Event]) -> None:
        if not self._started:
            self._start(None, found)
        self._calls.close(found)
        stop = stop_of(self._reason or reason, calls=bool(len(self._calls)), refused=self._refused)
        found.append(Ended(stop, self._usage))
