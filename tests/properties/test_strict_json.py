"""The strict reader against a slow reference parser: same decisions, right positions, no ambiguity."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies import strict_json
from policies.strict_json import BodyError, strict_object

DECISIVE = frozenset({"model", "stream", "protocolVersion"})
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**15), 10**15) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
SPACE = st.text(" \t\r\n", max_size=3)
NAMES = st.sampled_from(["model", "stream", "a", "b", "protocolVersion", "ключ", 'k"q', ""])


@st.composite
def spelled_key(draw: st.DrawFn, name: str) -> str:
    """The key as JSON, in one of its many spellings."""
    if draw(st.booleans()):
        return json.dumps(name, ensure_ascii=False)
    return '"' + "".join(f"\\u{ord(c):04x}" for c in name) + '"'


@st.composite
def bodies(draw: st.DrawFn) -> tuple[bytes, list[tuple[str, Any]]]:
    """Half of them without a blank between the fields: those are proved by their length."""
    pairs = draw(st.lists(st.tuples(NAMES, VALUES), max_size=6))
    blank = draw(st.sampled_from([SPACE, st.just("")]))
    parts = []
    for name, value in pairs:
        text = json.dumps(
            value, ensure_ascii=draw(st.booleans()), separators=draw(st.sampled_from([(",", ":"), (", ", ": ")]))
        )
        key = draw(spelled_key(name))
        parts.append(f"{draw(blank)}{key}{draw(blank)}:{draw(blank)}{text}{draw(blank)}")
    return (
        draw(blank) + "{" + ",".join(parts) + (draw(blank) if not parts else "") + "}" + draw(blank)
    ).encode(), pairs


@given(bodies())
def test_a_body_is_read_as_it_stands_or_refused_for_a_repeated_key(case: tuple[bytes, list[tuple[str, Any]]]) -> None:
    body, pairs = case
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        with pytest.raises(BodyError) as caught:
            strict_object(body, DECISIVE)
        assert caught.value.code == "ambiguous_body"
        return
    found = strict_object(body, DECISIVE)
    assert {name: json.loads(bytes(raw)) for name, raw in found.items()} == dict(pairs)


@given(bodies(), VALUES)
def test_replacing_a_value_changes_that_value_only(case: tuple[bytes, list[tuple[str, Any]]], value: Any) -> None:
    body, pairs = case
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        return
    for name in names:
        found = strict_object(body, DECISIVE)
        old = bytes(found[name])
        replaced = found.replace(name, json.dumps(value).encode())
        assert json.loads(replaced) == {**dict(pairs), name: value}
        assert strict_object(replaced, DECISIVE).replace(name, old) == body
    inserted = strict_object(body, DECISIVE).insert("added", b"[1]")
    assert json.loads(inserted) == {**dict(pairs), "added": [1]}


@given(bodies(), st.dictionaries(NAMES | st.sampled_from(["new", "newer"]), VALUES, max_size=4))
def test_fields_are_set_in_their_place_or_at_the_end_and_the_rest_stays(
    case: tuple[bytes, list[tuple[str, Any]]], values: dict[str, Any]
) -> None:
    body, pairs = case
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        return
    values = {name: value for name, value in values.items() if name in names or name.startswith("new")}
    changed = strict_object(body, DECISIVE).with_fields({n: json.dumps(v).encode() for n, v in values.items()})
    assert json.loads(changed) == {**dict(pairs), **values}
    assert list(json.loads(changed)) == [*names, *(name for name in values if name not in names)]
    if not values:
        assert changed == body


TEXT = st.sampled_from(
    [b"a", b"a" * 7, "é".encode(), "→".encode(), "😀".encode(), b"\xe2\x86", b"\x80", b"\xed\xa0\x80"]
)


@given(st.integers(-9, 9), st.integers(1, 2), st.lists(TEXT, max_size=12), st.integers(0, 9_000))
def test_a_body_is_utf_8_to_the_reader_where_it_is_to_the_language(
    shift: int, windows: int, pieces: list[bytes], after: int
) -> None:
    """Near the edges of the windows that are looked at one by one."""
    before = b'{"a":"' + b"x" * (windows * strict_json._WINDOW + shift - 20)
    body = before + b"".join(pieces) + b"y" * after + b'"}'
    try:
        body.decode()
    except UnicodeDecodeError as error:
        with pytest.raises(BodyError, match=rf"not UTF-8 \(byte {error.start}\)"):
            strict_object(body, DECISIVE)
    else:
        assert bytes(strict_object(body, DECISIVE)["a"]) == body[5:-1]


@given(st.lists(st.sampled_from(['"', ":", ",", "{", "}", "[", "]", "a", "1", " "]), max_size=12), st.data())
def test_a_zero_byte_is_nowhere_in_a_body(pieces: list[str], data: st.DataObject) -> None:
    """The search for marks (``providers.dialects.marks``) would end there."""
    for body in (json.dumps({"a": {"b": ["c", "".join(pieces)]}, "d": 1}), "".join(pieces)):
        at = data.draw(st.integers(0, len(body)))
        with pytest.raises(BodyError):
            strict_object(f"{body[:at]}\0{body[at:]}".encode(), DECISIVE)


@pytest.mark.parametrize("key", ["Model", "MODEL", "ſtream", "PROTOCOLVERSION", "protocolversion"])
def test_another_letter_case_of_a_decision_field_is_refused(key: str) -> None:
    with pytest.raises(BodyError) as caught:
        strict_object(json.dumps({key: 1}, ensure_ascii=False).encode(), DECISIVE)
    assert caught.value.code == "ambiguous_body"


@given(st.binary(max_size=40))
def test_no_bytes_whatever_raise_anything_else(body: bytes) -> None:
    try:
        strict_object(body, DECISIVE)
    except BodyError as error:
        assert error.code in ("invalid_json", "ambiguous_body")
