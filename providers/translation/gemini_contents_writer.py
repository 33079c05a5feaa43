"""Writes a conversation for Gemini (https://ai.google.dev/api/caching#Content,
https://ai.google.dev/gemini-api/docs/function-calling).

It begins with the user, and sides alternate. Responses stand in the order of their calls and name them; ids are written
only where the caller's own Gemini client gave them. A signature stands on the first part after the thoughts that it
seals: that is where Gemini puts it.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Sequence
from typing import Any

import msgspec

from providers.canonical.losses import Losses
from providers.canonical.names import ToolNames
from providers.canonical.parts import (
    UNSAID_DETAILS,
    Media,
    Opaque,
    Part,
    Reasoning,
    Text,
    ToolCall,
    ToolReference,
    ToolResult,
    Turn,
)
from providers.translation.base import bad
from providers.translation.custom_tools import object_of
from providers.translation.gemini_contents_reader import MINTED, OUTPUT_KEYS
from providers.translation.gemini_wire import DUMMY_SIGNATURE
from providers.translation.reminders import reminder

_BEFORE: dict[str, Any] = {"role": "user", "parts": [{"text": " "}]}
"""Where the conversation does not begin with the user."""
_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def system_of(turns: Sequence[Turn], losses: Losses) -> tuple[dict[str, Any] | None, Sequence[Turn]]:
    """``systemInstruction``, from the system turns at the beginning, and the turns that follow it."""
    at = 0
    while at < len(turns) and turns[at].role == "system":
        at += 1
    said = [part for turn in turns[:at] for part in turn.parts if isinstance(part, Text) and part.text]
    if any(part.cache is not None for part in said):
        losses.hint("cache_control")
    texts = [part.text for part in said]
    return ({"parts": [{"text": words} for words in texts]} if texts else None), turns[at:]


class ContentsWriter:
    """Writes one conversation.

    ``own``: the request was read from this dialect, and every part stays where it is.
    ``modern``: the target is Gemini 3 or later, which demands signatures on calls and takes media in responses.
    """

    __slots__ = ("_calls", "_losses", "_modern", "_names", "_own", "_seal")

    def __init__(self, names: ToolNames, losses: Losses, *, own: bool, modern: bool) -> None:
        self._names = names
        self._losses = losses
        self._own = own
        self._modern = modern
        self._calls: dict[str, tuple[int, str]] = {}
        self._seal = ""

    def contents(self, turns: Sequence[Turn]) -> list[dict[str, Any]]:
        """Raises ``BodyError`` for a result without a call."""
        found: list[dict[str, Any]] = []
        for turn in turns:
            role = "model" if turn.role == "assistant" else "user"
            said: Sequence[Part] = reminder(turn) if turn.role == "system" else turn.parts
            if self._seal and role == "user":
                self._flush(_parts(found, "model"))
            parts: list[dict[str, Any]] = []
            self._write(said, parts)
            if parts:
                _parts(found, role).extend(parts)
        if self._seal:
            self._flush(_parts(found, "model"))
        for content in found:
            self._finish(content["role"], content["parts"])
        if not self._own and (not found or found[0]["role"] == "model"):
            found.insert(0, _BEFORE)
        return found

    def _finish(self, role: str, parts: list[dict[str, Any]]) -> None:
        """A side has said all: sign its first call, put its responses in order."""
        if role == "model":
            first = next((part for part in parts if "functionCall" in part), None)
            if self._modern and first is not None:
                first.setdefault("thoughtSignature", DUMMY_SIGNATURE)
            return
        results = [part for part in parts if "functionResponse" in part]
        if results and not self._own:
            results.sort(key=lambda part: self._calls[part.pop("call")][0])
            media = [part.pop("media") for part in results if "media" in part]
            others = [part for part in parts if "functionResponse" not in part]
            parts[:] = [*results, *(part for said in media for part in said), *others]

    def _write(self, said: Sequence[Part], parts: list[dict[str, Any]]) -> None:
        for part in said:
            if isinstance(part, Reasoning):
                self._reasoning(part, parts)
                continue
            if isinstance(part, Opaque):
                self._opaque(part, parts)
                continue
            written = self._part(part)
            if written is None:
                continue
            if self._seal:
                written["thoughtSignature"] = self._seal
                self._seal = ""
            parts.append(written)

    def _part(self, part: Text | Media | ToolCall | ToolResult) -> dict[str, Any] | None:
        if part.cache is not None:
            self._losses.hint("cache_control")
        if isinstance(part, Text):
            return {"text": part.text} if part.text else None
        if isinstance(part, Media):
            return self._media(part)
        if isinstance(part, ToolCall):
            return self._call(part)
        return self._result(part)

    def _flush(self, parts: list[dict[str, Any]]) -> None:
        """A signature that no part is left for stands alone."""
        if self._seal:
            parts.append({"text": "", "thoughtSignature": self._seal})
            self._seal = ""

    def _reasoning(self, part: Reasoning, parts: list[dict[str, Any]]) -> None:
        if part.dialect == "gemini" or (self._own and not part.seal):
            self._flush(parts)
            if part.text:
                parts.append({"text": part.text, "thought": True})
            self._seal = part.seal
        else:
            self._losses.hint("reasoning")

    def _opaque(self, part: Opaque, parts: list[dict[str, Any]]) -> None:
        if part.dialect != "gemini":
            self._losses.demand(part.kind)
            return
        data, dot, _ = part.kind.partition(".")
        if not dot:
            self._flush(parts)
            parts.append(dict(part.block))
        elif parts and data in parts[-1]:
            for name, value in part.block.items():
                parts[-1][name] = {**parts[-1][name], **value} if name == data else value

    def _media(self, part: Media) -> dict[str, Any] | None:
        if part.detail not in UNSAID_DETAILS:
            self._losses.hint("detail")
        named = {"displayName": part.name} if part.name and self._own else {}
        if part.name and not self._own:
            self._losses.hint("title")
        if part.data:
            return {"inlineData": {"mimeType": part.mime or "application/octet-stream", "data": part.data, **named}}
        if part.file_id and part.dialect != "gemini":
            self._losses.demand("file_id")
            return None
        uri = part.url or part.file_id
        mime = part.mime or ("" if self._own else mimetypes.guess_type(uri.partition("?")[0])[0])
        return {"fileData": {**({"mimeType": mime} if mime else {}), "fileUri": uri, **named}}

    def _call(self, part: ToolCall) -> dict[str, Any]:
        name = self._names.given(part.name, part.namespace)
        self._calls[part.id] = (len(self._calls), name)
        return {"functionCall": {**self._id(part.id), "name": name, "args": object_of(part)}}

    def _id(self, call_id: str) -> dict[str, str]:
        return {"id": call_id} if self._own and not call_id.startswith(MINTED) else {}

    def _result(self, part: ToolResult) -> dict[str, Any]:
        call = self._calls.get(part.call_id)
        if call is None:
            raise bad("messages", f"the tool result {part.call_id!r} answers no tool call of this conversation")
        words: list[str] = []
        inner: list[Any] = []
        beside: list[Any] = []
        for said in part.content:
            if isinstance(said, Text):
                words.append(said.text)
            elif isinstance(said, ToolReference):
                words.append(f"Tool {self._names.given(said.name)} is available now.")
            elif (written := self._part(said)) is not None:
                within = self._own or (self._modern and said.kind in ("image", "document"))
                (inner if within else beside).append(written)
        response: dict[str, Any] = {**self._id(part.call_id), "name": call[1]}
        response["response"] = _response("\n".join(words), failed=part.is_error)
        if inner:
            response["parts"] = inner
        found: dict[str, Any] = {"functionResponse": response}
        if not self._own:
            found["call"] = part.call_id  # until the side has said all
            if beside:
                found["media"] = [{"text": f"Result of call {part.call_id}:"}, *beside]
        return found


def _parts(contents: list[dict[str, Any]], role: str) -> list[dict[str, Any]]:
    """Where ``role`` says more: sides alternate."""
    if not contents or contents[-1]["role"] != role:
        contents.append({"role": role, "parts": []})
    found: list[dict[str, Any]] = contents[-1]["parts"]
    return found


def _response(words: str, *, failed: bool) -> dict[str, Any] | msgspec.Raw:
    """A function's response must be an object: text that is one stands there as it is."""
    if failed:
        return {"error": words}
    if words.startswith("{"):
        try:
            fields = _decode(words)
        except msgspec.MsgspecError:
            fields = {}
        if fields and not (len(fields) == 1 and fields.keys() <= OUTPUT_KEYS):
            return msgspec.Raw(words.encode())
    return {"output": words}
