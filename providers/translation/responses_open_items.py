"""Items of a stream of OpenAI's responses while they are open
(https://platform.openai.com/docs/api-reference/responses-streaming): each tells its own beginning, its pieces and its
end in events. Above: ``responses_encoder``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from policies.ids import new_id
from providers.canonical.answer import CallStarted
from providers.canonical.parts import ToolCall
from providers.translation.custom_tools import input_of
from providers.translation.responses_answers import call_item, message_item, search_item, text_part
from providers.translation.responses_reasoning import reasoning_item, reasoning_name

_encode = msgspec.json.Encoder().encode


class EventWriter:
    """Numbers events and gathers what is to be sent."""

    __slots__ = ("_number", "_pieces")

    def __init__(self) -> None:
        self._number = 0
        self._pieces: list[bytes] = []

    def tell(self, kind: str, fields: Mapping[str, Any]) -> None:
        self._pieces += (
            b"event: ",
            kind.encode(),
            b"\ndata: ",
            _encode({"type": kind, "sequence_number": self._number, **fields}),
            b"\n\n",
        )
        self._number += 1

    def take(self) -> bytes:
        told = b"".join(self._pieces)
        self._pieces.clear()
        return told


class OpenItem(Protocol):
    """An item that has been added and is not done."""

    index: int

    def close(self, status: str) -> dict[str, Any]:
        """Tell its end. ``status``: ``completed`` or ``incomplete``. Returns the whole item."""


class OpenMessage:
    __slots__ = ("_id", "_place", "_said", "_writer", "index")

    def __init__(self, writer: EventWriter, index: int) -> None:
        self.index = index
        self._writer = writer
        self._id = new_id("msg_")
        self._said: list[str] = []
        self._place = {"item_id": self._id, "output_index": index, "content_index": 0}
        item = message_item(self._id, (), "in_progress")
        writer.tell("response.output_item.added", {"output_index": index, "item": item})
        writer.tell("response.content_part.added", {**self._place, "part": text_part("")})

    def more(self, text: str) -> None:
        self._said.append(text)
        self._writer.tell("response.output_text.delta", {**self._place, "delta": text, "logprobs": []})

    def close(self, status: str) -> dict[str, Any]:
        text = "".join(self._said)
        self._writer.tell("response.output_text.done", {**self._place, "text": text, "logprobs": []})
        self._writer.tell("response.content_part.done", {**self._place, "part": text_part(text)})
        return message_item(self._id, (text,), status)


class OpenThought:
    __slots__ = ("_id", "_place", "_said", "_writer", "index", "seal")

    def __init__(self, writer: EventWriter, index: int, name: str = "") -> None:
        self.index = index
        self.seal = ""
        """``encrypted_content``."""
        self._writer = writer
        self._id = reasoning_name(name)
        self._said: list[str] = []
        self._place = {"item_id": self._id, "output_index": index, "summary_index": 0}
        item = {**reasoning_item(self._id, "", ""), "status": "in_progress"}
        writer.tell("response.output_item.added", {"output_index": index, "item": item})

    def more(self, text: str) -> None:
        if not self._said:
            part = {"type": "summary_text", "text": ""}
            self._writer.tell("response.reasoning_summary_part.added", {**self._place, "part": part})
        self._said.append(text)
        self._writer.tell("response.reasoning_summary_text.delta", {**self._place, "delta": text})

    def close(self, status: str) -> dict[str, Any]:
        text = "".join(self._said)
        if text:
            part = {"type": "summary_text", "text": text}
            self._writer.tell("response.reasoning_summary_text.done", {**self._place, "text": text})
            self._writer.tell("response.reasoning_summary_part.done", {**self._place, "part": part})
        return reasoning_item(self._id, text, self.seal)


class OpenCall:
    __slots__ = ("_id", "_place", "_said", "_started", "_writer", "index")

    def __init__(self, writer: EventWriter, index: int, started: CallStarted) -> None:
        self.index = index
        self._writer = writer
        self._started = started
        self._id = new_id("ctc_" if started.custom else "fc_")
        self._said: list[str] = []
        self._place = {"item_id": self._id, "output_index": index}
        writer.tell("response.output_item.added", {"output_index": index, "item": self._item("", "in_progress")})

    def more(self, json: str) -> None:
        self._said.append(json)
        if not self._started.custom:
            self._writer.tell("response.function_call_arguments.delta", {**self._place, "delta": json})

    def close(self, status: str) -> dict[str, Any]:
        said = "".join(self._said)
        if self._started.custom:
            said = input_of(said)
            self._writer.tell("response.custom_tool_call_input.delta", {**self._place, "delta": said})
            self._writer.tell("response.custom_tool_call_input.done", {**self._place, "input": said})
            return self._item(said, status)
        if not said:
            said = "{}"
            self._writer.tell("response.function_call_arguments.delta", {**self._place, "delta": said})
        self._writer.tell("response.function_call_arguments.done", {**self._place, "arguments": said})
        return self._item(said, status)

    def _item(self, arguments: str, status: str) -> dict[str, Any]:
        said = self._started
        return call_item(self._id, ToolCall(said.id, said.name, arguments, said.namespace, said.custom), status)


class OpenSearch:
    """A call of the client's own search: no event tells its arguments by pieces."""

    __slots__ = ("_call_id", "_id", "_said", "index")

    def __init__(self, writer: EventWriter, index: int, call_id: str) -> None:
        self.index = index
        self._id = new_id("tsc_")
        self._call_id = call_id
        self._said: list[str] = []
        item = search_item(self._id, call_id, "{}", "in_progress")
        writer.tell("response.output_item.added", {"output_index": index, "item": item})

    def more(self, json: str) -> None:
        self._said.append(json)

    def close(self, status: str) -> dict[str, Any]:
        return search_item(self._id, self._call_id, "".join(self._said) or "{}", status)
