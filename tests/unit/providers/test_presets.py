"""Vendors as data: every row loads, is used, and names its source."""

from __future__ import annotations

from itertools import pairwise
from urllib.parse import urlsplit

import msgspec
import pytest

from gateway.compile import KINDS, providers_of
from gateway.config.loader import ConfigError, loads
from gateway.config.providers import PROVIDER_TYPES
from providers.presets import PRESETS, Preset
from tests.support.gateway import ROOT
from tests.support.vendor_table import table, table_in_docs


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_a_vendor_needs_its_name_and_key_only(name: str) -> None:
    preset = PRESETS[name]
    text = f"providers: [{{name: {name}, api_key: secret}}, {{name: mine, type: {name}, base_url: 'https://x.example/v9/'}}]"
    loaded = loads(text.encode(), "t.yaml", {})
    vendor, mine = providers_of(loaded.config)
    assert (vendor.kind, vendor.base_url) == (preset.kind, preset.base_url)
    assert (mine.kind, mine.base_url) == (preset.kind, "https://x.example/v9")
    assert not any("not yet active" in str(note) for note in loaded.notes)


@pytest.mark.parametrize(
    ("entry", "field", "anywhere"),
    [
        ("{name: openai, api_key: k}", "max_completion_tokens", True),
        ("{name: a, type: azure, api_key: k, base_url: 'https://x.example'}", "max_completion_tokens", True),
        ("{name: lab, type: openai, api_key: k, base_url: 'https://x.example/v1'}", "max_tokens", False),
        ("{name: mistral, api_key: k}", "max_tokens", False),
    ],
)
def test_only_openai_itself_is_taken_at_its_newest_word(entry: str, field: str, anywhere: bool) -> None:
    """What is compatible with it may know the older field, and a system message at the beginning only."""
    (provider,) = providers_of(loads(f"providers: [{entry}]".encode(), "t.yaml", {}).config)
    assert (provider.traits.token_limit, provider.traits.system_anywhere) == (field, anywhere)


@pytest.mark.parametrize("preset", PRESETS.values(), ids=lambda preset: preset.name)
def test_a_row_names_its_source_and_is_reached_safely(preset: object) -> None:
    address, source = urlsplit(getattr(preset, "base_url")), urlsplit(getattr(preset, "source"))  # noqa: B009
    assert source.scheme == "https"
    assert address.scheme == "https" or address.hostname == "127.0.0.1"
    assert not address.path.endswith("/")


def test_rows_are_sorted_by_name_and_each_name_is_used_once() -> None:
    text = (ROOT / "providers" / "presets" / "vendors.json").read_bytes()
    names = [row.name for row in msgspec.json.decode(text, type=list[Preset])]
    assert all(before < after for before, after in pairwise(names))


def test_a_row_says_nothing_of_openai_s_surfaces_where_another_dialect_is_spoken() -> None:
    others = [preset for preset in PRESETS.values() if preset.kind != "openai"]
    assert {(preset.responses, preset.token_limit) for preset in others} == {(False, "max_tokens")}


def test_a_dialect_other_than_openai_s_is_in_the_name_of_its_row() -> None:
    assert {name for name in PRESETS if name.endswith("-anthropic")} == {
        name for name, preset in PRESETS.items() if preset.kind == "anthropic"
    }


def test_the_responses_api_and_another_token_limit_are_told_row_by_row() -> None:
    groq, deepseek = PRESETS["groq"], PRESETS["deepseek"]
    assert (groq.responses, groq.token_limit) == (True, "max_completion_tokens")
    assert (deepseek.responses, deepseek.token_limit) == (False, "max_tokens")


def test_a_row_with_a_token_limit_that_is_no_field_is_refused() -> None:
    row = b'{"name": "x", "kind": "openai", "base_url": "", "source": "", "token_limit": "max_output_tokens"}'
    with pytest.raises(msgspec.ValidationError, match="token_limit"):
        msgspec.json.decode(row, type=Preset)


def test_a_vendor_without_its_key_is_told_which_variable_holds_it() -> None:
    notes = [str(note) for note in loads(b"providers: [{name: groq}, {name: ollama}]", "t.yaml", {}).notes]
    assert [note for note in notes if "no api_key" in note] == [
        "t.yaml:1: providers[0]: provider groq has no api_key: its vendor will refuse calls (api_key: ${GROQ_API_KEY})"
    ]


def test_an_unknown_type_is_told_with_the_nearest_one() -> None:
    with pytest.raises(ConfigError) as caught:
        loads(b"providers: [{name: x, type: grok, api_key: k}]", "t.yaml", {})
    assert "did you mean groq?" in str(caught.value.problems[0])


def test_every_type_that_a_file_may_name_is_spoken() -> None:
    assert set(PROVIDER_TYPES) == set(KINDS)


def test_the_table_in_the_docs_is_current() -> None:
    assert table_in_docs() == table(), "run 'make docs'"
