"""A stream of OpenAI's responses (https://platform.openai.com/docs/api-reference/responses-streaming), written from
canonical events.

Every item has an index of its own, so several calls may be open at once; a message or a thought ends when another item
begins. The ids of items stay the same through the stream. Codex acts on ``response.output_item.done`` and reads how it
ended from ``response.completed``, ``response.incomplete`` and ``response.failed``; it ignores a bare ``error``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

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
from providers.canonical.request import Request
from providers.translation.responses_answers import begun_response, ended_response
from providers.translation.responses_open_items import (
    EventWriter,
    OpenCall,
    OpenItem,
    OpenMessage,
    OpenSearch,
    OpenThought,
)
from providers.translation.responses_reasoning import hidden
from providers.translation.responses_tools import SEARCH, searches


class ResponsesEncoder:
    """``providers.translation.base.StreamEncoder``."""

    __slots__ = ("_asked", "_begun", "_calls", "_count", "_done", "_ended", "_speaking", "_writer")

    def __init__(self, asked: Request) -> None:
        self._asked = asked
        self._writer = EventWriter()
        self._begun: dict[str, Any] | None = None
        self._speaking: OpenMessage | OpenThought | None = None
        self._calls: dict[int, OpenCall | OpenSearch] = {}
        self._count = 0
        self._done: dict[int, dict[str, Any]] = {}
        self._ended = False

    def encode(self, events: Iterable[Event]) -> bytes:
        for event in events:
            if not self._ended:
                self._encode(event)
        return self._writer.take()

    def _encode(self, event: Event) -> None:
        if isinstance(event, TextDelta):
            if event.text:
                self._message().more(event.text)
        elif isinstance(event, CallDelta):
            if event.json:
                self._calls[event.index].more(event.json)
        elif isinstance(event, ReasoningDelta):
            if event.text:
                self._thought().more(event.text)
        elif isinstance(event, ReasoningSealed):
            self._seal(event)
        elif isinstance(event, CallStarted):
            self._hush()
            self._calls[event.index] = self._call(event)
        elif isinstance(event, Started):
            self._begin(event.id)
        elif isinstance(event, Ended):
            self._end(event)
        else:
            self._fail(event)

    def _begin(self, answer_id: str) -> dict[str, Any]:
        if self._begun is None:
            self._begun = begun_response(self._asked, answer_id)
            self._writer.tell("response.created", {"response": self._begun})
            self._writer.tell("response.in_progress", {"response": self._begun})
        return self._begun

    def _next(self) -> int:
        """The index of an item that begins."""
        self._begin("")
        self._count += 1
        return self._count - 1

    def _message(self) -> OpenMessage:
        if isinstance(self._speaking, OpenMessage):
            return self._speaking
        self._hush()
        self._speaking = message = OpenMessage(self._writer, self._next())
        return message

    def _thought(self, name: str = "") -> OpenThought:
        if isinstance(self._speaking, OpenThought):
            return self._speaking
        self._hush()
        self._speaking = thought = OpenThought(self._writer, self._next(), name)
        return thought

    def _call(self, event: CallStarted) -> OpenCall | OpenSearch:
        if event.name == SEARCH and searches(self._asked):
            return OpenSearch(self._writer, self._next(), event.id)
        return OpenCall(self._writer, self._next(), event)

    def _seal(self, event: ReasoningSealed) -> None:
        self._thought(event.id).seal = hidden(event.seal, event.dialect, redacted=event.redacted)
        self._hush()

    def _hush(self) -> None:
        if self._speaking is not None:
            self._close(self._speaking, "completed")
            self._speaking = None

    def _close(self, item: OpenItem, status: str) -> None:
        self._done[item.index] = whole = item.close(status)
        self._writer.tell("response.output_item.done", {"output_index": item.index, "item": whole})

    def _end(self, event: Ended) -> None:
        begun = self._begin("")
        open_items: list[OpenItem] = [*self._calls.values(), *([self._speaking] if self._speaking else [])]
        for item in sorted(open_items, key=lambda one: one.index):
            cut = event.stop == "length" and item.index == self._count - 1
            self._close(item, "incomplete" if cut else "completed")
        output = [self._done[index] for index in sorted(self._done)]
        response = ended_response(begun, output, event.stop, event.usage)
        self._writer.tell(f"response.{response['status']}", {"response": response})
        self._ended = True

    def _fail(self, event: Failed) -> None:
        begun = self._begin("")
        output = [self._done[index] for index in sorted(self._done)]
        error = {"code": error_code(event.kind), "message": event.message, "type": event.kind}
        self._writer.tell(
            "response.failed", {"response": {**begun, "status": "failed", "output": output, "error": error}}
        )
        self._ended = True


def error_code(kind: str) -> str:
    """The vendor's word as a code of this dialect. Codex waits after ``rate_limit_exceeded``, gives up after
    ``invalid_prompt`` and ``context_length_exceeded``, and tries again after ``server_error``."""
    word = kind.lower()
    if "context_length" in word:
        return "context_length_exceeded"
    if "quota" in word or "billing" in word:
        return "insufficient_quota"
    if "rate_limit" in word or "throttling" in word or word in ("429", "resource_exhausted", "too_many_requests"):
        return "rate_limit_exceeded"
    if "invalid" in word or "validation" in word:
        return "invalid_prompt"
    return "server_error"
