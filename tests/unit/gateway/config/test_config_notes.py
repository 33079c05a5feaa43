"""What ``check`` says of a file that is valid."""

from __future__ import annotations

import secrets

import pytest

from gateway.config.loader import loads
from gateway.config.notes import MIN_KEY_BITS, NOT_YET_ACTIVE, plausible_bits

STRONG = "0123456789abcdef0123456789abcdef"


def notes_of(text: str, environ: dict[str, str] | None = None) -> list[str]:
    return [str(note) for note in loads(text.encode(), "t.yaml", environ or {}).notes]


def test_a_plain_file_has_no_notes() -> None:
    text = f"""
providers: [{{name: openai, api_key: x}}, {{name: lab, type: openai, base_url: "http://127.0.0.1:9/v1"}}]
mcp_servers: {{files: {{command: x}}}}
virtual_keys: [{{key_name: a, key: {STRONG}, allowed_tools: ["*", "files/*", "!files/delete_*"]}}]
"""
    assert notes_of(text) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("server: {trusted_proxies: [10.0.0.0/8]}", "server.trusted_proxies: configured but not yet active"),
    ],
)
def test_what_this_version_does_not_act_on_is_named(text: str, expected: str) -> None:
    (note,) = notes_of(text)

    assert note.endswith(expected)


def test_a_value_that_works_is_not_called_inactive() -> None:
    assert notes_of("stores: {counters: memory}\nbudgets: {on_exhausted: finish, enforcement: strict}") == []


def test_the_list_of_inactive_fields_names_each_field_once() -> None:
    paths = [inactive.path for inactive in NOT_YET_ACTIVE]

    assert len(set(paths)) == len(paths)


def test_a_semantic_cache_without_embedding_says_that_the_exact_layer_works_alone() -> None:
    notes = notes_of("semantic_cache:\n  enabled: true")

    assert "t.yaml:1: semantic_cache: without embedding the exact layer works alone" in notes


EMBEDDING = "providers: [{name: p, type: openai, api_key: x}]\nsemantic_cache: {enabled: true, embedding: {%s}}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cache: {enabled: true}", "t.yaml:1: cache: only requests with x-bf-cache-key take part"),
        (
            "cache: {enabled: true, default_cache_key: k, cache_scope: team}",
            "keys of one team see one another's answers",
        ),
        (EMBEDDING % "provider: p, model: e, dimensions: 3", "without qdrant_url vectors are kept in this process"),
    ],
)
def test_what_a_cache_amounts_to_is_noted(text: str, expected: str) -> None:
    assert any(expected in note for note in notes_of(text))


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("fils/*", "matches no configured MCP server (did you mean files?)"),
        ("!fils/x", "matches no configured MCP server (did you mean files?)"),
        ("other*", "matches no configured MCP server"),
        ("read_file", "matches nothing: a pattern is server/name"),
    ],
)
def test_a_pattern_that_can_match_nothing_is_noted(pattern: str, expected: str) -> None:
    text = f"mcp_servers: {{files: {{command: x}}}}\nteams: [{{name: a, allowed_tools: ['*', '{pattern}']}}]"

    assert notes_of(text) == [f"t.yaml:2: teams[0].allowed_tools[1]: {expected}"]


@pytest.mark.parametrize("pattern", ["*", "f*", "files/*", "files*", "*/read", "!files/x"])
def test_a_pattern_that_could_match_is_not_noted(pattern: str) -> None:
    assert notes_of(f"mcp_servers: {{files: {{command: x}}}}\ntool_prices: {{'{pattern}': 1}}") == []


@pytest.mark.parametrize("secret", ["vk-acme-abc", "a" * 64, "1234567890" * 3, STRONG[:31], "x"])
def test_a_weak_key_is_noted_without_telling_it(secret: str) -> None:
    (note,) = notes_of(f"virtual_keys: [{{key_name: a, key: {secret}}}]")

    assert "virtual_keys[0].key: shorter than 128 random bits" in note
    assert secret not in note.removesuffix("(openssl rand -hex 16)") or len(secret) == 1


def test_random_keys_of_enough_bits_are_not_called_weak() -> None:
    for _ in range(200):
        for secret in (secrets.token_hex(16), "vk-" + secrets.token_hex(16), "sk-bf-" + secrets.token_hex(20)):
            assert plausible_bits(secret) >= MIN_KEY_BITS


def test_a_hashed_key_is_not_called_weak() -> None:
    assert notes_of(f"virtual_keys: [{{key_name: a, key: 'sha256:{STRONG * 2}'}}]") == []


def test_a_key_without_secret_is_noted() -> None:
    assert notes_of("virtual_keys: [{key_name: a}]") == [
        "t.yaml:1: virtual_keys[0]: virtual key a has no key: nobody can call with it"
    ]


def test_a_vendor_without_key_is_noted() -> None:
    assert "provider openai has no api_key" in notes_of("providers: [{name: openai}]")[0]
    assert notes_of("providers: [{name: anthropic, auth: passthrough}]") == []
