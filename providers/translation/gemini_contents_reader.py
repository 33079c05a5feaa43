"""Reads a conversation of Gemini's (https://ai.google.dev/api/caching#Content).

Calls need no ids there: those without one get an id that is the same in every request that holds the same
conversation. What modifies a part (``videoMetadata``, ``mediaResolution``) follows it as an ``Opaque``, so that the
part itself stays readable for everyone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from providers.canonical.parts import Content, Media, Opaque, Part, Reasoning, Role, Text, ToolCall, ToolResult, Turn
from providers.translation.base import bad
from providers.translation.checks import an_object, base64_text, flag, text
from providers.translation.gemini_wire import camel, kind_of, sealed, several, with_thought

MINTED = "call_gm"
"""Begins an id that the caller did not give."""
OUTPUT_KEYS = frozenset({"output", "result", "error"})
"""One of these alone in a function's response holds all that the function said."""
_ROLES: Mapping[str, Role] = {"user": "user", "function": "user", "model": "assistant"}
_DATA = frozenset({"text", "inlineData", "fileData", "functionCall", "functionResponse"})
_ANY = frozenset({"thought", "thoughtSignature"})
_CALL = frozenset({"id", "name", "args"})
_RESPONSE = frozenset({"id", "name", "response"})
_RESPONSE_WITH_MEDIA = _RESPONSE | {"parts"}
_FILES = ("https://generativelanguage.googleapis.com/", "files/")
_encode = msgspec.json.encode


def read_contents(value: Any) -> tuple[Turn, ...]:
    """The conversation. Raises ``BodyError``."""
    if isinstance(value, str):
        return (Turn("user", (Text(text(value, "contents")),)),)
    contents = several(value, "contents")
    if not contents:
        raise bad("contents", "contents is not specified")
    return _Conversation().read(contents)


def read_system(value: Any) -> tuple[Turn, ...]:
    """The system prompt, which is text only. Raises ``BodyError``."""
    at = "systemInstruction"
    if isinstance(value, str):
        return (Turn("system", (Text(value),)),) if value else ()
    content = camel(an_object(value, at), at)
    parts: list[Part] = []
    for n, raw in enumerate(several(content.get("parts", ()), f"{at}.parts")):
        part = camel(an_object(raw, f"{at}.parts[{n}]"), f"{at}.parts[{n}]")
        if part.keys() != {"text"}:
            raise bad(f"{at}.parts[{n}]", "only text is supported in the system instruction")
        if words := text(part["text"], f"{at}.parts[{n}].text", empty=True):
            parts.append(Text(words))
    return (Turn("system", tuple(parts)),) if parts else ()


class _Waiting(msgspec.Struct):
    """A call that has no response yet."""

    step: int
    id: str
    name: str
    given: bool


class _Conversation:
    """One conversation while it is read."""

    __slots__ = ("_ids", "_step", "_waiting")

    def __init__(self) -> None:
        self._waiting: list[_Waiting] = []
        self._ids: set[str] = set()
        self._step = 0

    def read(self, contents: Any) -> tuple[Turn, ...]:
        turns: list[tuple[Role, list[Part]]] = []
        for n, raw in enumerate(contents):
            at = f"contents[{n}]"
            content = camel(an_object(raw, at), at)
            role = _ROLES.get(text(content.get("role", "user"), f"{at}.role", empty=True) or "user")
            if role is None:
                raise bad(f"{at}.role", "Please use a valid role: user, model.")
            # Clients that stream keep every chunk as a content of its own: together they are one answer.
            if role == "assistant" and turns and turns[-1][0] == "assistant":
                parts = turns[-1][1]
            else:
                parts = []
                turns.append((role, parts))
            self._step = len(turns)
            for m, part in enumerate(several(content.get("parts", ()), f"{at}.parts")):
                self._take(part, f"{at}.parts[{m}]", role, parts)
        return tuple(Turn(role, tuple(parts)) for role, parts in turns)

    def _take(self, raw: Any, at: str, role: Role, parts: list[Part]) -> None:
        part = camel(an_object(raw, at), at)
        kind = next(iter(part)) if len(part) == 1 else _kind(part, at)
        if kind not in _DATA:
            _other(kind, part, raw, at, parts)
            return
        seal, extra = (None, {}) if len(part) == 1 else _besides(kind, part, at)
        value = part[kind]
        if extra and value == "":
            parts.append(Opaque("gemini", next(iter(extra)), raw))  # nothing is there that it could follow
            return
        if kind == "text":
            thought = flag(part.get("thought"), f"{at}.thought") or False
            _words(text(value, f"{at}.text", empty=True), thought, seal, role, parts)
        else:
            if seal is not None:
                with_thought(parts, "", seal)
            inner = f"{at}.{kind}"
            data = camel(an_object(value, inner), inner)
            if kind == "functionCall":
                self._call(data, inner, role, parts)
            elif kind == "functionResponse":
                self._response(data, inner, role, parts)
            else:
                parts.append(media_of(kind, data, inner))
        if extra:
            parts.append(Opaque("gemini", f"{kind}.{next(iter(extra))}", extra))

    def _call(self, data: Mapping[str, Any], at: str, role: Role, parts: list[Part]) -> None:
        if role != "assistant":
            raise bad(at, "a functionCall belongs to the role 'model'")
        name = text(data.get("name"), f"{at}.name")
        given = data.get("id")
        if given:
            call_id = text(given, f"{at}.id")
        else:
            nth = sum(isinstance(part, ToolCall) for part in parts)
            call_id = MINTED + hashlib.sha256(f"{self._step}.{nth}.{name}".encode()).hexdigest()[:20]
        if call_id in self._ids:
            raise bad(f"{at}.id", f"the id {call_id!r} is used by another call")
        self._ids.add(call_id)
        self._waiting.append(_Waiting(self._step, call_id, name, bool(given)))
        arguments = an_object(data.get("args", {}), f"{at}.args")
        parts.append(ToolCall(call_id, name, _encode(arguments).decode()))
        _keep("functionCall", data, _CALL, parts)

    def _response(self, data: Mapping[str, Any], at: str, role: Role, parts: list[Part]) -> None:
        if role != "user":
            raise bad(at, "a functionResponse belongs to the role 'user'")
        name = text(data.get("name", ""), f"{at}.name", empty=True)
        call = self._answered(data.get("id"), name, at)
        words, failed = _said(an_object(data.get("response", {}), f"{at}.response"))
        content: tuple[Content, ...] = (Text(words),) if words else ()
        known = _RESPONSE
        if "parts" in data and (media := _media_parts(data["parts"], f"{at}.parts")) is not None:
            content += tuple(media)
            known = _RESPONSE_WITH_MEDIA
        parts.append(ToolResult(call, content, failed))
        _keep("functionResponse", data, known, parts)

    def _answered(self, given: Any, name: str, at: str) -> str:
        """The id of the call that a response answers: by its id, else the first of that name in the latest step."""
        found = None
        if given:
            given = text(given, f"{at}.id")
            for call in self._waiting:
                if call.id == given:
                    found = call
                    break
        if found is None:
            same = [call for call in self._waiting if call.name == name and not (given and call.given)]
            found = next((call for call in same if call.step == same[-1].step), None)
        if found is None:
            wanted = f"with the id {given!r}" if given else f"of {name!r}"
            raise bad(at, f"there is no function call {wanted} that waits for a response")
        self._waiting.remove(found)
        return found.id


def media_of(kind: str, data: Mapping[str, Any], at: str) -> Media:
    """``inlineData`` or ``fileData``. Raises ``BodyError``."""
    name = text(data.get("displayName", ""), f"{at}.displayName", empty=True)
    if kind == "inlineData":
        mime = text(data.get("mimeType"), f"{at}.mimeType")
        encoded = data.get("data")
        if isinstance(encoded, str) and ("-" in encoded or "_" in encoded):
            encoded = encoded.replace("-", "+").replace("_", "/")
        return Media(kind_of(mime), mime, base64_text(encoded, f"{at}.data"), name=name)
    mime = text(data.get("mimeType", ""), f"{at}.mimeType", empty=True)
    uri = text(data.get("fileUri"), f"{at}.fileUri")
    if uri.startswith(("http://", "https://", "gs://")) and not uri.startswith(_FILES):
        video = not mime and ("youtube.com/" in uri or "youtu.be/" in uri)
        return Media("video" if video else kind_of(mime), mime, url=uri, name=name)
    return Media(kind_of(mime), mime, file_id=uri, dialect="gemini", name=name)


def _kind(part: Mapping[str, Any], at: str) -> str:
    """The field that holds the data; empty if there is none. Raises ``BodyError`` for more than one."""
    found = [name for name in part if name in _DATA] or [name for name in part if name not in _ANY][:1]
    if len(found) > 1:
        raise bad(at, f"a part has one kind of data, not {' and '.join(found)}")
    return found[0] if found else ""


def _seal(part: Mapping[str, Any], at: str) -> Reasoning | None:
    signature = part.get("thoughtSignature")
    return None if signature is None else sealed(text(signature, f"{at}.thoughtSignature", empty=True))


def _besides(kind: str, part: Mapping[str, Any], at: str) -> tuple[Reasoning | None, dict[str, Any]]:
    """The signature of a part, and what modifies its data."""
    return _seal(part, at), {name: value for name, value in part.items() if name != kind and name not in _ANY}


def _words(words: str, thought: bool, seal: Reasoning | None, role: Role, parts: list[Part]) -> None:
    if thought:
        with_thought(parts, words, seal)
        return
    if seal is not None:
        with_thought(parts, "", seal)
    if not words:
        return
    last = parts[-1] if parts else None
    if role == "assistant" and isinstance(last, Text):
        parts[-1] = Text(last.text + words)
    else:
        parts.append(Text(words))


def _other(kind: str, part: Mapping[str, Any], raw: Any, at: str, parts: list[Part]) -> None:
    """What only Gemini knows (``executableCode``), whole; or a signature alone."""
    if kind and kind not in _ANY:
        parts.append(Opaque("gemini", kind, raw))
    elif (seal := _seal(part, at)) is not None:
        with_thought(parts, "", seal)
    elif "thoughtSignature" not in part:
        raise bad(at, "required oneof field 'data' must have one initialized field")


def _said(response: Mapping[str, Any]) -> tuple[str, bool]:
    """What a function answered, and whether it failed."""
    if not response:
        return "", False
    name = next(iter(response))
    if len(response) > 1 or name not in OUTPUT_KEYS:
        return _encode(response).decode(), False
    value = response[name]
    return (value if isinstance(value, str) else _encode(value).decode()), name == "error"


def _media_parts(value: Any, at: str) -> list[Media] | None:
    """Media of a function's response; ``None`` if they say more than ``Media`` can."""
    found = []
    for n, raw in enumerate(several(value, at)):
        part = camel(an_object(raw, f"{at}[{n}]"), f"{at}[{n}]")
        kind = next(iter(part), "")
        if len(part) != 1 or kind not in ("inlineData", "fileData"):
            return None
        inner = f"{at}[{n}].{kind}"
        found.append(media_of(kind, camel(an_object(part[kind], inner), inner), inner))
    return found


def _keep(kind: str, data: Mapping[str, Any], known: frozenset[str], parts: list[Part]) -> None:
    """What else a call or a response says, behind it."""
    if not data.keys() <= known:
        extra = {name: value for name, value in data.items() if name not in known}
        parts.append(Opaque("gemini", f"{kind}.{next(iter(extra))}", {kind: extra}))
