"""Variables of the environment inside texts, and what an empty one means."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config.environment import Expansion, expand
from gateway.config.loader import loads

ENVIRON = {"A": "1", "EMPTY": "", "NESTED": "${A}"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", Expansion("plain")),
        ("${A}", Expansion("1", ("A",))),
        ("Bearer ${A}-${A}", Expansion("Bearer 1-1", ("A",))),
        ("${B}", Expansion("", ("B",), ("B",))),
        ("${B:-}", Expansion("", ("B",))),
        ("${B:-x y}", Expansion("x y", ("B",))),
        ("${EMPTY:-x}", Expansion("x", ("EMPTY",))),
        ("${EMPTY}", Expansion("", ("EMPTY",))),
        ("${NESTED}", Expansion("${A}", ("NESTED",))),
        ("os.environ/A", Expansion("1", ("A",))),
        ("os.environ/B", Expansion("", ("B",), ("B",))),
        ("see os.environ/A", Expansion("see os.environ/A")),
        ("$A $$ {A}", Expansion("$A $$ {A}")),
        ("${A", Expansion("${A", malformed=True)),
        ("${1}", Expansion("${1}", malformed=True)),
        ("${A:?}", Expansion("${A:?}", malformed=True)),
    ],
)
def test_references_are_replaced_once(text: str, expected: Expansion) -> None:
    assert expand(text, ENVIRON) == expected


@settings(deadline=None)
@given(st.text(), st.text())
def test_a_variable_is_taken_literally_whatever_it_contains(value: str, before: str) -> None:
    plain = before.replace("$", "")
    assert expand(plain + "${V}", {"V": value}).text == plain + value


def test_a_provider_whose_key_is_empty_is_disabled_and_says_why() -> None:
    text = b'providers: [{name: openai, api_key: "${OPENAI_API_KEY:-}"}, {name: anthropic, api_key: x}]'

    for environ in ({}, {"OPENAI_API_KEY": ""}):
        loaded = loads(text, "t.yaml", environ)
        assert [provider.name for provider in loaded.config.providers] == ["openai", "anthropic"]
        assert loaded.config.disabled_providers == {"openai": "OPENAI_API_KEY is not set"}
        assert "provider openai is disabled: OPENAI_API_KEY is not set" in str(loaded.notes[0])
    assert loads(text, "t.yaml", {"OPENAI_API_KEY": "k"}).config.disabled_providers == {}


def test_a_provider_with_a_literally_empty_key_is_disabled() -> None:
    loaded = loads(b"providers: [{name: openai, api_key: ''}]", "t.yaml", {})

    assert loaded.config.disabled_providers == {"openai": "its api_key is empty"}


def test_an_optional_value_that_the_environment_leaves_empty_is_absent() -> None:
    text = b'server: {public_url: "${URL:-}"}\nmcp_servers: {a: {command: x, env: {E: "${URL:-}"}}}'

    config = loads(text, "t.yaml", {}).config

    assert config.server.public_url is None
    assert config.mcp_servers["a"].env["E"].get_secret_value() == ""


def test_numbers_may_come_from_the_environment() -> None:
    assert loads(b"server:\n  port: ${PORT:-8081}", "t.yaml", {}).config.server.port == 8081
    assert loads(b"server:\n  port: ${PORT:-8081}", "t.yaml", {"PORT": "9"}).config.server.port == 9


def test_a_key_made_of_digits_stays_as_it_is_written() -> None:
    key = loads(b"virtual_keys:\n- key_name: a\n  key: ${K}", "t.yaml", {"K": "0123"}).config.virtual_keys[0].key

    assert key is not None and key.get_secret_value() == "0123"
