"""Reads the decision fields of a JSON body so that no other parser can read different ones.

The gate decides on a few fields (``model``, ``stream``, ``max_tokens``, ``method``, …) and forwards
the original bytes. If a key occurred twice, or in another letter case, the upstream's parser could
take the other value. So the body is split one level deep and held against its own bytes: what does not
add up exactly is refused as ambiguous. A body without blanks between its fields is proved by its length
alone; any other is walked through.

Cost for 200 kB: one pass of a C decoder (50 to 70 µs), the proof that it is UTF-8 (7 µs if all is ASCII, else up to
80 µs), and, where it is walked, one ``memcmp`` (5 to 10 µs).
"""

from __future__ import annotations

import re
from codecs import utf_8_decode
from collections.abc import Callable, ItemsView, Iterator, Mapping
from functools import lru_cache
from typing import Any

import msgspec

_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_str = msgspec.json.Decoder(str).decode

_WHITESPACE = re.compile(rb"[ \t\n\r]*")
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"')


class BodyError(Exception):
    """A body that the gate will not judge. ``code``: ``invalid_json``, ``ambiguous_body``,
    ``invalid_request`` (a field of another type). ``field``: the path of the field, where it is known."""

    def __init__(self, code: str, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field


class StrictObject(Mapping[str, msgspec.Raw]):
    """A JSON object split one level deep, with the position of every value in the original bytes (``None``: found when
    one is asked for)."""

    __slots__ = ("_fields", "_found", "body", "get")

    def __init__(self, body: bytes, fields: dict[str, msgspec.Raw], found: dict[str, int] | None) -> None:
        self.body = body
        self._fields = fields
        self._found = found
        # ``Mapping``'s own raises and catches for every field that is not there, which most are not.
        self.get: Callable[..., Any] = fields.get

    def __getitem__(self, name: str) -> msgspec.Raw:
        return self._fields[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __contains__(self, name: object) -> bool:
        return name in self._fields

    def items(self) -> ItemsView[str, msgspec.Raw]:
        """``Mapping``'s own asks for every value by its name."""
        return self._fields.items()

    def __len__(self) -> int:
        return len(self._fields)

    def string(self, name: str) -> str | None:
        """The field as a string; ``None`` if absent. Raises ``BodyError`` if it is anything else."""
        raw = self._fields.get(name)
        if raw is None:
            return None
        try:
            return _decode_str(raw)
        except msgspec.MsgspecError:
            raise BodyError("invalid_request", f"'{name}' must be a string") from None

    def replace(self, name: str, value: bytes) -> bytes:
        """The body with the value of ``name`` replaced by the JSON in ``value``, all else untouched."""
        body = memoryview(self.body)
        return b"".join((body[: self._positions[name]], value, body[self._end_of(name) :]))

    def without(self, name: str) -> bytes:
        """The body with the field ``name`` and one of its commas taken out, all else untouched."""
        value = self._positions[name]
        # From the quote before the key to the comma after the value, or from the comma before to the value's end.
        end = value + memoryview(self._fields[name]).nbytes
        names = list(self._fields)
        at = names.index(name)
        begin = 1 + self.body.index(b"{") if at == 0 else self._end_of(names[at - 1])
        if at + 1 < len(names):
            after = self.body.index(b",", end) + 1
            return self.body[: begin if at == 0 else self.body.index(b",", begin) + 1] + self.body[after:]
        return self.body[:begin] + self.body[end:]

    @property
    def _positions(self) -> dict[str, int]:
        found = self._found
        if found is None:
            found = self._found = _walk(self.body, self._fields)
        return found

    def _end_of(self, name: str) -> int:
        return self._positions[name] + memoryview(self._fields[name]).nbytes

    def insert(self, name: str, value: bytes) -> bytes:
        """The body with a field added at the end; ``name`` must be plain ASCII."""
        return self.with_fields({name: value})

    def with_fields(self, values: Mapping[str, bytes]) -> bytes:
        """The body with these fields of JSON: in the place of its own, or else at the end, all else untouched. Names
        that it lacks must be plain ASCII."""
        body, at = memoryview(self.body), 0  # whose slices are no copies
        pieces: list[bytes | memoryview] = []
        for name in sorted(values.keys() & self._fields.keys(), key=self._positions.__getitem__):
            pieces += (body[at : self._positions[name]], values[name])
            at = self._end_of(name)
        end = self.body.rindex(b"}")
        pieces.append(body[at:end])
        comma = b"," if self._fields else b""
        for name in values:
            if name not in self._fields:
                pieces += (comma, b'"', name.encode(), b'":', values[name])
                comma = b","
        pieces.append(body[end:])
        return b"".join(pieces)


def strict_object(body: bytes, decisive: frozenset[str]) -> StrictObject:
    """Split ``body``. Raises ``BodyError`` if it is not one JSON object in UTF-8, nests deeper than
    the decoder's bound, repeats a key, or spells a key of ``decisive`` in another letter case."""
    if not body.isascii():
        _require_utf8(body)
    try:
        fields = _decode(body)
    except RecursionError:
        raise BodyError("invalid_json", "the body is nested too deeply") from None
    except msgspec.MsgspecError as error:
        raise BodyError("invalid_json", f"the body is not a JSON object: {error}") from None
    folded = _folded(decisive)
    for name in fields:
        # casefold, not lower: Go's decoder takes U+017F for "s" and U+212A for "k".
        if name not in decisive and (meant := folded.get(name.casefold())) is not None:
            raise BodyError("ambiguous_body", f"the key {name!r} differs from {meant!r} only in letter case")
    return StrictObject(body, fields, None if _adds_up(body, fields) else _walk(body, fields))


_WINDOW = 8192


def _require_utf8(body: bytes) -> None:
    """Bytes are decoded and thrown away; in windows, because the text of a large body is larger still (and beyond its
    first character that is not ASCII, decoding takes eight times as long)."""
    view, at, end = memoryview(body), 0, len(body)
    while at < end:
        last = at + _WINDOW >= end
        try:
            at += utf_8_decode(view[at : at + _WINDOW], "strict", last)[1]
        except UnicodeDecodeError as error:
            raise BodyError("invalid_json", f"the body is not UTF-8 (byte {at + error.start})") from None


@lru_cache(maxsize=64)
def _folded(decisive: frozenset[str]) -> Mapping[str, str]:
    return {name.casefold(): name for name in decisive}


_PUNCTUATION = 4
"""Bytes that belong to every field: two quotes, a colon, and a comma or one of the braces; there is one brace more."""


def _adds_up(body: bytes, fields: dict[str, msgspec.Raw]) -> bool:
    """Whether the fields are all that is in the body. A key takes as many bytes as it has characters, or more; so where
    the length is exactly theirs, nothing else has a place in it: no blank, and no earlier field of the same name."""
    return len(body) == _PUNCTUATION * len(fields) + 1 + sum(map(len, fields)) + sum(map(len, fields.values()))


_COLON, _COMMA, _CLOSE, _BLANK = b":,} "


def _walk(body: bytes, fields: dict[str, msgspec.Raw]) -> dict[str, int]:
    """Positions of all values. Fails unless the body is exactly these keys, once each, in this order."""
    positions: dict[str, int] = {}
    at = _skip(body, _skip(body, 0) + 1)
    for name, raw in fields.items():
        key = f'"{name}"'.encode()
        at = at + len(key) if body.startswith(key, at) else _escaped_key_end(body, at, name)
        if body[at] <= _BLANK:
            at = _skip(body, at)
        if body[at] != _COLON:
            raise _repeated()
        at += 1
        if body[at] <= _BLANK:
            at = _skip(body, at)
        value = memoryview(raw)
        if not body.startswith(value, at):
            raise _repeated()
        positions[name] = at
        at += value.nbytes
        if body[at] <= _BLANK:
            at = _skip(body, at)
        if body[at] == _COMMA:
            at += 1
            if body[at] <= _BLANK:
                at = _skip(body, at)
    if body[at] != _CLOSE or _skip(body, at + 1) != len(body):
        raise _repeated()
    return positions


def _escaped_key_end(body: bytes, at: int, name: str) -> int:
    match = _STRING.match(body, at)
    if match is None or _decode_str(match.group()) != name:
        raise _repeated()
    return match.end()


def _skip(body: bytes, at: int) -> int:
    if body[at : at + 1] > b" ":
        return at
    match = _WHITESPACE.match(body, at)
    return match.end() if match else at


def _repeated() -> BodyError:
    return BodyError("ambiguous_body", "a key occurs twice in the body: which value counts is up to the parser")
