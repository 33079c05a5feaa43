"""Writes turns as the ``input`` of OpenAI's responses
(https://platform.openai.com/docs/api-reference/responses/create).

Nothing is stored with the vendor, so every item is whole and none is named; a thought is handed back only with the
vendor's own seal.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from providers.canonical.losses import Losses
from providers.canonical.names import PLAIN_64, ToolNames, fitted
from providers.canonical.parts import Content, Media, Opaque, Part, Reasoning, Text, ToolCall, ToolResult, Turn
from providers.canonical.request import Request
from providers.translation.base import bad
from providers.translation.custom_tools import arguments_of
from providers.translation.responses_content import VENDOR, written_content
from providers.translation.responses_reasoning import reasoning_item

Item = dict[str, Any]

_FAILURE_SEEN_IN = 100
"""So many characters of a failed result may tell that it failed."""


class InputWriter:
    """Of one request."""

    __slots__ = ("_items", "_losses", "_names", "_own", "_request", "_results", "_said")

    def __init__(self, request: Request, names: ToolNames, losses: Losses) -> None:
        self._request = request
        self._own = request.dialect == "openai_responses"
        self._names = names
        self._losses = losses
        self._items: list[Item] = []
        self._said: list[dict[str, Any]] = []
        """Parts of the message that is being written."""
        self._results: dict[str, str] = {}
        """By the id of a call: the type of the item that answers it."""

    def write(self) -> tuple[str | None, list[Item]]:
        """(instructions, items)."""
        turns = self._request.turns
        instructions = _only_text(turns[0]) if turns and turns[0].role == "system" else None
        for turn in turns if instructions is None else turns[1:]:
            self._role(turn)
        return instructions, self._items

    def _role(self, turn: Turn) -> None:
        role = "developer" if turn.role == "system" else turn.role
        for part in turn.parts:
            self._part(part, role)
        self._finish_message(role)

    def _part(self, part: Part, role: str) -> None:
        if isinstance(part, Text | Media):
            self._say(part, role)
            return
        item = self._item(part)
        if item is not None:
            self._finish_message(role)
            self._items.append(item)

    def _say(self, part: Text | Media, role: str) -> None:
        if role != "assistant":
            written = written_content(part, self._losses, marks=self._own)
            if written is not None:
                self._said.append(written)
        elif isinstance(part, Media):
            self._losses.demand(part.kind)
        elif part.text:
            if part.cache is not None:
                self._losses.hint("cache_control")
            # A list of parts would need the id under which the vendor stored the message.
            self._items.append({"type": "message", "role": "assistant", "content": part.text})

    def _finish_message(self, role: str) -> None:
        if self._said:
            self._items.append({"type": "message", "role": role, "content": self._said})
            self._said = []

    def _item(self, part: Reasoning | ToolCall | ToolResult | Opaque) -> Item | None:
        if isinstance(part, ToolCall):
            return self._call(part)
        if isinstance(part, ToolResult):
            return self._result(part)
        if isinstance(part, Reasoning):
            return self._thought(part)
        if self._own and part.dialect == "openai_responses":
            block: Item = part.block
            return block
        if "citation" in part.kind or "annotation" in part.kind:
            self._losses.hint(part.kind)
        else:
            self._losses.demand(part.kind)
        return None

    def _thought(self, part: Reasoning) -> Item | None:
        if part.dialect == VENDOR or (self._own and not part.seal):
            item = reasoning_item(part.id, part.text, part.seal)
            if not part.id:
                del item["id"]  # the vendor seals it too: none is right, a new one would be wrong
            return item
        self._losses.hint("reasoning")
        return None

    def _call(self, call: ToolCall) -> Item:
        call_id = fitted(call.id, PLAIN_64)
        if call.cache is not None:
            self._losses.hint("cache_control")
        if call.custom and self._own:
            self._results[call.id] = "custom_tool_call_output"
            item: Item = {"type": "custom_tool_call", "name": call.name, "input": call.arguments, "call_id": call_id}
        else:
            self._results[call.id] = "function_call_output"
            name = call.name if self._own else self._names.given(call.name, call.namespace)
            item = {"type": "function_call", "name": name, "arguments": arguments_of(call), "call_id": call_id}
        if call.namespace and self._own:
            item["namespace"] = call.namespace
        return item

    def _result(self, result: ToolResult) -> Item:
        kind = self._results.get(result.call_id)
        if kind is None:
            raise bad("messages", f"the result of {result.call_id!r} answers no call")
        if result.cache is not None:
            self._losses.hint("cache_control")
        output = self._output(result.content)
        if result.is_error and isinstance(output, str) and "error" not in output[:_FAILURE_SEEN_IN].lower():
            output = f"Error: {output}"
        return {"type": kind, "call_id": fitted(result.call_id, PLAIN_64), "output": output}

    def _output(self, content: Iterable[Content]) -> str | list[dict[str, Any]]:
        """One text is a string, which every speaker of the dialect takes."""
        parts = []
        for part in content:
            said = (
                part
                if isinstance(part, Text | Media)
                else Text(f"Tool {self._names.given(part.name)} is available now.")
            )
            written = written_content(said, self._losses, marks=self._own)
            if written is not None:
                parts.append(written)
        if not parts:
            return ""
        plain = len(parts) == 1 and parts[0].keys() == {"type", "text"}
        return parts[0]["text"] if plain else parts


def _only_text(turn: Turn) -> str | None:
    [first, *more] = turn.parts or (None,)
    return first.text if isinstance(first, Text) and first.cache is None and not more else None
