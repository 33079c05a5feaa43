"""Reads ``messages`` of chat completions (https://platform.openai.com/docs/api-reference/chat/create).

Results of tools stand in messages of their own there; a run of them is one turn here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from providers.canonical.parts import Media, Part, Reasoning, Text, ToolCall, ToolResult, Turn
from providers.translation.base import bad
from providers.translation.chat_content import ANSWERED, ASKED, SPOKEN, note_extras, read_parts
from providers.translation.chat_reasoning import in_order, read_detail
from providers.translation.chat_wire import WireMessage, spoken, thoughts_of
from providers.translation.checks import an_object, listed, text

EXTRAS = "messages."
"""``Request.carried``: what else a message says, by the number of its turn."""
_ROLES = ("developer", "system", "user", "assistant", "tool")
_KNOWN = frozenset({"role", "content", "tool_call_id"})
_THOUGHTS = ("reasoning_content", "reasoning", "reasoning_details")
_KNOWN_OF_ASSISTANT = _KNOWN | {"refusal", "tool_calls", "function_call", *_THOUGHTS}


def read_turns(messages: Any, carried: dict[str, Any]) -> tuple[Turn, ...]:
    """Raises ``BodyError``. What else is found goes into ``carried``."""
    if not listed(messages, "messages"):
        raise bad("messages", "Invalid 'messages': empty array. Expected an array with minimum length 1.")
    return _Reader(carried).read(messages)


class _Reader:
    __slots__ = ("_answered", "_called", "_carried", "_results", "_turns")

    def __init__(self, carried: dict[str, Any]) -> None:
        self._carried = carried
        self._called: set[str] = set()
        self._answered: set[str] = set()
        self._results: list[ToolResult] = []
        self._turns: list[Turn] = []

    def read(self, messages: list[Any]) -> tuple[Turn, ...]:
        for index, entry in enumerate(messages):
            at = f"messages[{index}]"
            message = an_object(entry, at)
            role = message.get("role")
            if role == "tool":
                self._results.append(self._result(message, at))
                continue
            self._close_results()
            known = _KNOWN_OF_ASSISTANT if role == "assistant" else _KNOWN
            if not message.keys() <= known:
                self._extras(message, known)
            self._turns.append(self._turn(role, message, at))
        self._close_results()
        return tuple(self._turns)

    def _close_results(self) -> None:
        if self._results:
            self._turns.append(Turn("user", tuple(self._results)))
            self._results = []

    def _extras(self, message: Mapping[str, Any], known: frozenset[str]) -> None:
        for name, value in message.items():
            if name not in known and value not in (None, [], {}, ""):
                self._carried.setdefault(EXTRAS + name, {})[str(len(self._turns))] = value

    def _turn(self, role: Any, message: Mapping[str, Any], at: str) -> Turn:
        content = message.get("content")
        if role == "user":
            return Turn("user", tuple(read_parts(content, f"{at}.content", ASKED, self._carried)))
        if role in ("system", "developer"):
            return Turn("system", tuple(read_parts(content, f"{at}.content", SPOKEN, self._carried)))
        if role == "assistant":
            return Turn("assistant", self._assistant(message, at))
        if role == "function":
            raise bad(f"{at}.role", "'function' is deprecated and not translated: use 'tool' and 'tool_calls'")
        supported = ", ".join(map(repr, _ROLES))
        raise bad(f"{at}.role", f"Invalid value: {role!r}. Supported values are: {supported}.")

    def _result(self, message: Mapping[str, Any], at: str) -> ToolResult:
        call_id = text(message.get("tool_call_id"), f"{at}.tool_call_id")
        if call_id not in self._called:
            raise bad(
                f"{at}.tool_call_id",
                f"messages with role 'tool' must answer a preceding 'tool_calls': there is no call {call_id!r}",
            )
        if call_id in self._answered:
            raise bad(f"{at}.tool_call_id", f"the call {call_id!r} has an answer already")
        self._answered.add(call_id)
        if len(message) > 3:
            note_extras(message, ("role", "content", "tool_call_id", "name"), "messages.tool", self._carried)
        content = message.get("content")
        return ToolResult(call_id, tuple(read_parts(content, f"{at}.content", ASKED, self._carried)))

    def _assistant(self, message: Mapping[str, Any], at: str) -> tuple[Part, ...]:
        if message.get("function_call") is not None:
            raise bad(f"{at}.function_call", "is deprecated and not translated: use 'tool_calls'")
        thoughts = self._thoughts(message, at)
        content = message.get("content")
        if isinstance(content, list) and any(isinstance(part, dict) and "thinking" in part for part in content):
            thoughts += [Reasoning(words) for is_thought, words in spoken(content) if is_thought]
            content = [part for part in content if not (isinstance(part, dict) and "thinking" in part)]
        texts: list[Text | Media] = []
        if content is not None:
            texts = read_parts(content, f"{at}.content", ANSWERED, self._carried)
        if message.get("refusal") is not None and (refusal := text(message["refusal"], f"{at}.refusal", empty=True)):
            texts.append(Text(refusal))
        calls = [
            self._call(an_object(call, f"{at}.tool_calls[{n}]"), f"{at}.tool_calls[{n}]")
            for n, call in enumerate(listed(message.get("tool_calls") or (), f"{at}.tool_calls"))
        ]
        return tuple(in_order(thoughts, texts, calls))

    def _thoughts(self, message: Mapping[str, Any], at: str) -> list[Reasoning]:
        if message.keys().isdisjoint(_THOUGHTS):
            return []
        details = list(listed(message.get("reasoning_details") or (), f"{at}.reasoning_details"))
        if any(read_detail(entry) is None for entry in details):
            self._carried["messages.reasoning_details.type"] = True
        content, bare = (text(message.get(name) or "", f"{at}.{name}", empty=True) for name in _THOUGHTS[:2])
        return list(thoughts_of(WireMessage(reasoning_content=content, reasoning=bare, reasoning_details=details)))

    def _call(self, call: Mapping[str, Any], at: str) -> ToolCall:
        call_id = text(call.get("id"), f"{at}.id")
        if call_id in self._called:
            raise bad(f"{at}.id", f"Duplicate value: {call_id!r}. Ids of tool calls must be unique.")
        self._called.add(call_id)
        kind = call.get("type", "function")
        if kind not in ("function", "custom"):
            raise bad(f"{at}.type", f"Invalid value: {kind!r}. Supported values are: 'function' and 'custom'.")
        said = an_object(call.get(kind), f"{at}.{kind}")
        if len(call) > 2 + ("type" in call):
            note_extras(call, ("id", "type", "index", kind), "messages.tool_calls", self._carried)
        if len(said) > 2:
            note_extras(said, ("name", "arguments", "input"), f"messages.tool_calls.{kind}", self._carried)
        name = text(said.get("name"), f"{at}.{kind}.name")
        if kind == "custom":
            return ToolCall(call_id, name, text(said.get("input"), f"{at}.custom.input", empty=True), custom=True)
        return ToolCall(call_id, name, _arguments(said.get("arguments"), f"{at}.function.arguments"))


def _arguments(value: Any, where: str) -> str:
    if isinstance(value, dict):
        return msgspec.json.encode(value).decode()
    return text("" if value is None else value, where, empty=True) or "{}"
