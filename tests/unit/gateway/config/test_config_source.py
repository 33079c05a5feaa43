"""YAML that is broken, hostile or ambiguous is refused with its line."""

from __future__ import annotations

import pytest

from gateway.config.source import MAX_BYTES, MAX_DEPTH, MappingNode, ScalarNode, SequenceNode, SourceError, parse


def error_of(text: str | bytes) -> SourceError:
    with pytest.raises(SourceError) as caught:
        parse(text.encode() if isinstance(text, str) else text)
    return caught.value


def mapping_of(text: str) -> MappingNode:
    node = parse(text.encode())
    assert isinstance(node, MappingNode)
    return node


def test_every_key_and_value_knows_its_line() -> None:
    first, second = mapping_of("a: 1\n\nb:\n  - 2\n").entries

    assert (first.key, first.line, second.key, second.line) == ("a", 1, "b", 3)
    assert isinstance(second.value, SequenceNode) and second.value.items[0].line == 4


@pytest.mark.parametrize("text", ["yes", "on", "0x10", "1:30", "1e3", "2027-01-01", "true", "'null'", "''"])
def test_a_scalar_stays_the_text_that_was_written(text: str) -> None:
    value = mapping_of(f"a: {text}").entries[0].value

    assert isinstance(value, ScalarNode) and value.text == text.strip("'")


@pytest.mark.parametrize("text", ["", "~", "null"])
def test_nothing_is_null(text: str) -> None:
    value = mapping_of(f"a: {text}").entries[0].value

    assert isinstance(value, ScalarNode) and value.text is None


def test_an_alias_stands_for_its_anchor() -> None:
    entries = mapping_of("a: &models [x, y]\nb: *models").entries

    assert entries[1].value is entries[0].value


def test_an_alias_bomb_is_refused_before_it_goes_off() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]

    assert "more than 100000 values" in str(error_of("\n".join(lines)))


def test_aliases_cannot_nest_deeper_than_the_text_may() -> None:
    lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 60)]

    assert f"nested deeper than {MAX_DEPTH} levels" in str(error_of("\n".join(lines)))


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a: &x [*x]", 1, "*x names no anchor that is complete before it"),
        ("a: b\nc: d: e", 2, "not valid YAML"),
        ("a: [1, 2", 1, "not valid YAML"),
        ('a: "x', 1, "not valid YAML"),
        ("a: *nowhere", 1, "names no anchor"),
        ("a: 1\n---\nb: 2", 2, "only one YAML document"),
        ("a: !!python/object/apply:os.system [x]", 1, "YAML tags (!…) are not supported"),
        ("a: [!github/delete_*]", 1, "quote the text if it begins with !"),
        ("? [a]\n: b", 1, "a key must be a plain text"),
        ("~: b", 1, "a key must be a plain text"),
        ("a: 1\nb: {c: ${D}}", 2, 'quote a variable: "${VAR}"'),
        ("a: " + "[" * 5000, 1, "nested deeper than"),
        ("a: \x00", 1, "character U+0000 is not allowed"),
        (b"a: 1\nb: \xff", 2, "the file is not UTF-8"),
        (b"#" * (MAX_BYTES + 1), 0, "the file is larger than"),
    ],
)
def test_unreadable_text_is_refused_with_its_line(text: str | bytes, line: int, message: str) -> None:
    error = error_of(text)

    assert message in str(error)
    assert error.line == line


def test_an_empty_file_is_an_empty_mapping() -> None:
    assert mapping_of("# nothing\n").entries == []
