"""Writes ``messages`` of chat completions (https://platform.openai.com/docs/api-reference/chat/create).

Results of calls are messages of their own, right behind the message that called and in the order of its calls; what a
user or the system said between them follows. They hold text only: a picture in a result comes in a user's message
after them, under the id of its call.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from providers.canonical.losses import Losses
from providers.canonical.names import ToolNames, fitted
from providers.canonical.parts import Content, Media, Opaque, Part, Reasoning, Text, ToolCall, ToolResult, Turn
from providers.canonical.request import Request
from providers.translation.base import Traits, bad
from providers.translation.chat_answers import call_object
from providers.translation.chat_content import mark_of, written_media, written_text
from providers.translation.chat_messages import EXTRAS
from providers.translation.chat_reasoning import is_native, written_details
from providers.translation.custom_tools import arguments_of
from providers.translation.reminders import one_system_turn

_FAILURE_SEEN_IN = 100
"""So many characters of a failed result may tell that it failed."""


class MessageWriter:
    """Of one request."""

    def __init__(self, request: Request, traits: Traits, names: ToolNames, losses: Losses) -> None:
        self._request = request
        self._own = request.dialect == "openai_chat"
        self._traits = traits
        self._names = names
        self._losses = losses
        self._messages: list[dict[str, Any]] = []
        self._calls: dict[str, int] = {}
        """The newest assistant's calls, by their place."""
        self._results: list[tuple[int, dict[str, Any]]] = []
        self._media: list[dict[str, Any]] = []
        """What results hold besides text."""
        self._later: list[dict[str, Any]] = []
        """Messages that must stand behind the results."""

    def write(self) -> list[dict[str, Any]]:
        """Raises ``BodyError`` for a result without a call."""
        for turn in self._turns():
            if turn.role == "assistant":
                self._close_step()
                self._assistant(turn.parts)
            elif turn.role == "system":
                self._later.append({"role": "system", "content": self._content(turn.parts)})
            else:
                self._user(turn.parts)
            if not self._calls:
                self._close_step()
        self._close_step()
        if self._own:
            self._restore_extras()
        return self._messages

    def _turns(self) -> Iterable[Turn]:
        """As they came, or as the provider takes another dialect's."""
        turns = self._request.turns
        if self._own:
            return turns
        return _with_calls_last(turns if self._traits.system_anywhere else one_system_turn(turns))

    def _close_step(self) -> None:
        """Results first, then what they hold besides text, then what else was said."""
        self._messages += [message for _, message in sorted(self._results, key=lambda result: result[0])]
        if self._media:
            if self._later and self._later[0]["role"] == "user":
                said = self._later[0]["content"]
                said = [{"type": "text", "text": said}] if isinstance(said, str) else said
                self._later[0]["content"] = [*self._media, *said]
            else:
                self._messages.append({"role": "user", "content": self._media})
        self._messages += self._later
        self._calls, self._results, self._media, self._later = {}, [], [], []

    def _user(self, parts: Sequence[Part]) -> None:
        said: list[Part] = []
        for part in parts:
            if isinstance(part, ToolResult):
                self._result(part)
            else:
                said.append(part)
        if said or not parts:
            self._later.append({"role": "user", "content": self._content(said)})

    def _content(self, parts: Sequence[Part], joint: str = "\n\n") -> str | list[dict[str, Any]]:
        """As a string where nothing is lost by it: not every vendor takes lists."""
        if len(parts) == 1 and isinstance(parts[0], Text) and parts[0].cache is None:
            return parts[0].text
        written: list[dict[str, Any]] = []
        for part in parts:
            if isinstance(part, Text):
                written.append(written_text(part, self._losses, marks=self._traits.cache_marks))
            elif isinstance(part, Media):
                found = written_media(part, self._losses, own=self._own, marks=self._traits.cache_marks)
                if found is not None:
                    written.append(found)
            else:
                self._foreign(part, written)
        if len(written) > 1 and self._own:
            return written
        plain = all(len(part) == 2 and part["type"] == "text" for part in written)
        return joint.join(part["text"] for part in written) if plain else written

    def _foreign(self, part: Part, written: list[dict[str, Any]]) -> None:
        if isinstance(part, Opaque):
            if part.dialect == "openai_chat":
                written.append(part.block)
            else:
                self._losses.demand(part.kind)

    def _result(self, result: ToolResult) -> None:
        place = self._calls.get(result.call_id)
        if place is None:
            raise bad("messages", f"the tool result for {result.call_id!r} does not follow the call that it answers")
        call_id = fitted(result.call_id, self._traits.call_ids)
        content: list[Part] = []
        media: list[Part] = []
        for part in result.content:
            if isinstance(part, Media) and not self._own:
                media.append(part)
            else:
                content.append(self._spoken(part))
        said = self._content(content, "\n")
        if result.is_error and isinstance(said, str) and "error" not in said[:_FAILURE_SEEN_IN].lower():
            said = f"Error: {said}"
        if result.cache is not None:
            said = self._marked(said, result)
        self._results.append((place, {"role": "tool", "tool_call_id": call_id, "content": said}))
        if media and (shown := self._content(media)):
            listed = [{"type": "text", "text": shown}] if isinstance(shown, str) else shown
            self._media += [{"type": "text", "text": f"Result of call {call_id}:"}, *listed]

    def _spoken(self, part: Content) -> Text | Media:
        if isinstance(part, Text | Media):
            return part
        return Text(f"Tool {self._names.given(part.name)} is available now.")

    def _marked(self, said: str | list[dict[str, Any]], result: ToolResult) -> str | list[dict[str, Any]]:
        if not self._traits.cache_marks or result.cache is None or not said:
            self._losses.hint("cache_control")
            return said
        listed = [{"type": "text", "text": said}] if isinstance(said, str) else said
        return [*listed[:-1], {**listed[-1], "cache_control": mark_of(result.cache)}]

    def _assistant(self, parts: Sequence[Part]) -> None:
        said: list[Part] = []
        calls: list[ToolCall] = []
        thoughts = False
        for part in parts:
            if isinstance(part, ToolCall):
                calls.append(part)
            elif isinstance(part, Reasoning):
                thoughts = True
            elif isinstance(part, Media):
                self._losses.demand(part.kind)  # what a model drew cannot be shown to one as its own
            else:
                said.append(part)
        content = self._content(said, "")
        message: dict[str, Any] = {"role": "assistant", "content": None if calls and not said else content}
        if thoughts:
            message |= self._thoughts(parts)
        if calls:
            message["tool_calls"] = [self._call(call) for call in calls]
            self._calls = {call.id: place for place, call in enumerate(calls)}
        self._messages.append(message)

    def _call(self, call: ToolCall) -> dict[str, Any]:
        if call.cache is not None:
            self._losses.hint("cache_control")
        if call.custom and not self._own:
            call = ToolCall(call.id, call.name, arguments_of(call), call.namespace)
        return call_object(call, fitted(call.id, self._traits.call_ids), self._names.given(call.name, call.namespace))

    def _thoughts(self, parts: Sequence[Part]) -> dict[str, Any]:
        """Where the provider takes earlier thoughts back; another vendor's seals mean nothing to it."""
        back = self._traits.reasoning_back
        details: list[dict[str, Any]] = []
        words: list[str] = []
        for index, part in enumerate(parts):
            if not isinstance(part, Reasoning):
                continue
            if back == "reasoning_details" and (not part.seal or is_native(part.dialect)):
                following = parts[index + 1] if index + 1 < len(parts) else None
                call_id = following.id if isinstance(following, ToolCall) else ""
                details += written_details(part, call_id, through=part.dialect)
            elif back == "reasoning_content" and not part.seal:
                words.append(part.text)
            else:
                self._losses.hint("reasoning")
        if words:
            return {"reasoning_content": "".join(words)}
        for index, detail in enumerate(details):
            detail["index"] = index
            if detail["type"] == "reasoning.encrypted" and "id" in detail and detail["id"] in _ids(parts):
                detail["id"] = fitted(detail["id"], self._traits.call_ids)
        return {"reasoning_details": details} if details else {}

    def _restore_extras(self) -> None:
        """What a message said besides (names of speakers, citations), as it came in this dialect."""
        spoken = [message for message in self._messages if message["role"] != "tool"]
        numbers = [n for n, turn in enumerate(self._request.turns) if not _is_results(turn)]
        places = {str(number): message for number, message in zip(numbers, spoken, strict=False)}
        for name, values in self._request.carried.items():
            if name.startswith(EXTRAS) and isinstance(values, Mapping):
                for number, value in values.items():
                    if number in places:
                        places[number].setdefault(name.removeprefix(EXTRAS), value)


def _ids(parts: Iterable[Part]) -> set[str]:
    return {part.id for part in parts if isinstance(part, ToolCall)}


def _is_results(turn: Turn) -> bool:
    return bool(turn.parts) and all(isinstance(part, ToolResult) for part in turn.parts)


def _with_calls_last(turns: Iterable[Turn]) -> Iterator[Turn]:
    """Nothing may stand between a call and its result: an assistant's turn after one with calls is part of it."""
    held: Turn | None = None
    for turn in turns:
        if held is not None and turn.role == "assistant":
            held = Turn("assistant", held.parts + turn.parts)
            continue
        if held is not None:
            yield held
            held = None
        if turn.role == "assistant" and any(isinstance(part, ToolCall) for part in turn.parts):
            held = turn
        else:
            yield turn
    if held is not None:
        yield held
