"""The strict reader against a slow reference parser: same decisions, right positions, no ambiguity."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    pairs = draw(st.lists(st.tuples(NAMES, VALUES), max_size=6))
    parts = []
    for name, value in pairs:
        text = json.dumps(
            value, ensure_ascii=draw(st.booleans()), separators=draw(st.sampled_from([(",", ":"), (", ", ": ")]))
        )
        key = draw(spelled_key(name))
        parts.append(f"{draw(SPACE)}{key}{draw(SPACE)}:{draw(SPACE)}{text}{draw(SPACE)}")
    return (
        draw(SPACE) + "{" + ",".join(parts) + (draw(SPACE) if not parts else "") + "}" + draw(SPACE)
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
