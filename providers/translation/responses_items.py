"""The ``input`` of OpenAI's responses, read into turns
(https://platform.openai.com/docs/api-reference/responses/create).

Items lie flat: what the assistant said, thought and called between two sayings of the other side is one turn. What an
item says about itself (``id``, ``status``, ``logprobs``) is the vendor's bookkeeping and means nothing elsewhere.
Nothing is stored here, so a reference to a stored item is a mistake.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from providers.canonical.parts import Opaque, Part, Role, Text, ToolCall, ToolResult, Turn
from providers.translation.base import bad
from providers.translation.responses_content import Labels, optional_text, read_content, text_field
from providers.translation.responses_reasoning import read_reasoning
from providers.translation.responses_tools import SEARCH, found_names

Item = dict[str, Any]

_ROLES: Mapping[str, Role] = {"user": "user", "assistant": "assistant", "system": "system", "developer": "system"}
_HOSTED = frozenset(
    {
        "apply_patch_call",
        "apply_patch_call_output",
        "code_interpreter_call",
        "compaction",
        "compaction_summary",
        "compaction_trigger",
        "computer_call",
        "computer_call_output",
        "configuration_update",
        "context_compaction",
        "file_search_call",
        "image_generation_call",
        "local_shell_call",
        "local_shell_call_output",
        "mcp_approval_request",
        "mcp_approval_response",
        "mcp_call",
        "mcp_list_tools",
        "program",
        "program_output",
        "shell_call",
        "shell_call_output",
        "web_search_call",
    }
)
"""Items that only this vendor knows."""


class Conversation:
    """What has been read by now."""

    __slots__ = ("_answered", "_parts", "_role", "labels", "more_tools", "turns")

    def __init__(self, labels: Labels) -> None:
        self.labels = labels
        self.turns: list[Turn] = []
        self.more_tools: list[tuple[str, Any]] = []
        """Tools that an item makes available, with the path of their list."""
        self._answered: dict[str, bool] = {}
        self._role: Role | None = None
        self._parts: list[Part] = []

    def instruct(self, text: str) -> None:
        """The system prompt, before all else and by itself."""
        if text:
            self.say("system", [Text(text)])
            self._close()

    def say(self, role: Role, parts: Sequence[Part]) -> None:
        if role != self._role:
            self._close()
            self._role = role
        self._parts += parts

    def call(self, call: ToolCall, where: str) -> None:
        if call.id in self._answered:
            raise bad(f"{where}.call_id", f"{call.id!r} stands for an earlier call already")
        self._answered[call.id] = False
        self.say("assistant", [call])

    def result(self, result: ToolResult, where: str) -> None:
        answered = self._answered.get(result.call_id)
        if answered is None:
            raise bad(f"{where}.call_id", f"No tool call found for function call output with call_id {result.call_id}.")
        if answered:
            raise bad(f"{where}.call_id", f"the call {result.call_id!r} has an output already")
        self._answered[result.call_id] = True
        self.say("user", [result])

    def hosted(self, kind: str, item: Item) -> None:
        answers = kind.endswith(("_output", "_response"))
        self.say("user" if answers else "assistant", [Opaque("openai_responses", kind, item)])

    def finish(self) -> tuple[Turn, ...]:
        for name, answered in self._answered.items():
            if not answered:
                raise bad("input", f"No tool output found for function call {name}.")
        self._close()
        return tuple(self.turns)

    def _close(self) -> None:
        if self._role is not None:
            self.turns.append(Turn(self._role, tuple(self._parts)))
        self._role, self._parts = None, []


def read_input(given: Any, conversation: Conversation) -> None:
    """All items, in order. Raises ``BodyError``."""
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    if not isinstance(given, list):
        raise bad("input", "is required: a string or a list of input items")
    if not given:
        raise bad("input", "must hold at least one item: the provider of this model keeps no responses")
    for index, item in enumerate(given):
        where = f"input[{index}]"
        if not isinstance(item, dict):
            raise bad(where, "must be an object")
        kind = item.get("type")
        if kind is None:
            kind = "message" if "role" in item else "item_reference" if "id" in item else None
        read = _READERS.get(kind) if isinstance(kind, str) else None
        if read is not None:
            read(item, where, conversation)
        elif isinstance(kind, str) and kind in _HOSTED:
            conversation.hosted(kind, item)
        else:
            raise bad(f"{where}.type", f"{kind!r} is no type of input item")


def _message(item: Item, where: str, conversation: Conversation) -> None:
    role = item.get("role")
    canonical = _ROLES.get(role) if isinstance(role, str) else None
    if canonical is None:
        raise bad(f"{where}.role", f"{role!r} is not one of {', '.join(_ROLES)}")
    if item.get("phase"):
        conversation.labels["input.phase"] = item["phase"]
    conversation.say(canonical, read_content(item, "content", where, conversation.labels))


def _function_call(item: Item, where: str, conversation: Conversation) -> None:
    arguments = text_field(item, "arguments", where) or "{}"
    conversation.call(_call(item, where, arguments, custom=False), where)


def _custom_call(item: Item, where: str, conversation: Conversation) -> None:
    conversation.call(_call(item, where, text_field(item, "input", where), custom=True), where)


def _call(item: Item, where: str, arguments: str, *, custom: bool) -> ToolCall:
    name, call_id = text_field(item, "name", where), text_field(item, "call_id", where)
    if not name or not call_id:
        raise bad(f"{where}.{'call_id' if name else 'name'}", "must not be empty")
    return ToolCall(call_id, name, arguments, optional_text(item, "namespace", where), custom)


def _output(item: Item, where: str, conversation: Conversation) -> None:
    content = read_content(item, "output", where, conversation.labels)
    conversation.result(ToolResult(text_field(item, "call_id", where), tuple(content)), where)


def _reasoning(item: Item, where: str, conversation: Conversation) -> None:
    thought = read_reasoning(item, where)
    if thought is not None:
        conversation.say("assistant", [thought])


def _reference(item: Item, where: str, conversation: Conversation) -> None:
    raise bad(where, "refers to a stored item; the provider of this model keeps no responses: send the item itself")


def _more_tools(item: Item, where: str, conversation: Conversation) -> None:
    conversation.more_tools.append((f"{where}.tools", item.get("tools")))


def _search_call(item: Item, where: str, conversation: Conversation) -> None:
    """One that the vendor ran is the vendor's."""
    if item.get("execution") != "client":
        conversation.hosted("tool_search_call", item)
        return
    arguments = msgspec.json.encode(item.get("arguments", {})).decode()
    conversation.call(ToolCall(text_field(item, "call_id", where), SEARCH, arguments), where)


def _search_output(item: Item, where: str, conversation: Conversation) -> None:
    if item.get("execution") != "client":
        conversation.hosted("tool_search_output", item)
        return
    tools = item.get("tools")
    conversation.more_tools.append((f"{where}.tools", tools))
    found = [f"Tool {name} is available now." for name in found_names(tools, f"{where}.tools")]
    said = Text("\n".join(found) or "No tool was found.")
    conversation.result(ToolResult(text_field(item, "call_id", where), (said,)), where)


_READERS: Mapping[str, Callable[[Item, str, Conversation], None]] = {
    "message": _message,
    "function_call": _function_call,
    "custom_tool_call": _custom_call,
    "function_call_output": _output,
    "custom_tool_call_output": _output,
    "reasoning": _reasoning,
    "item_reference": _reference,
    "additional_tools": _more_tools,
    "tool_search_call": _search_call,
    "tool_search_output": _search_output,
}
