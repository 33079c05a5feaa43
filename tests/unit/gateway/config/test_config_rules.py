"""Rules between fields: duplicates, references, fields that need or exclude each other."""

from __future__ import annotations

import hashlib

import pytest

from gateway.config.loader import ConfigError, loads


def lines_of(text: str, environ: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loads(text.encode(), "t.yaml", environ or {})
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("section", "entry"),
    [
        ("providers", "{name: openai}"),
        ("customers", "{name: openai}"),
        ("teams", "{name: openai}"),
        ("virtual_keys", "{key_name: openai}"),
    ],
)
def test_a_duplicate_name_names_the_first_one(section: str, entry: str) -> None:
    (line,) = lines_of(f"{section}:\n  - {entry}\n  - {entry}\n")

    assert line.startswith(f"t.yaml:3: {section}[1].")
    assert line.endswith(f"duplicate name 'openai', already used by {section}[0] on line 2")


def test_a_duplicate_server_is_a_duplicate_key() -> None:
    text = "mcp_servers:\n  a: {command: x}\n  a: {command: y}\n"

    assert lines_of(text) == ["t.yaml:3: mcp_servers.a: duplicate key, first given on line 2"]


def test_a_provider_may_stand_once_among_a_keys_providers() -> None:
    text = "providers: [{name: openai}]\nvirtual_keys: [{key_name: a, providers: [{name: openai}, {name: openai}]}]"

    assert "duplicate name 'openai' among this key's providers" in lines_of(text)[0]


@pytest.mark.parametrize(
    "second",
    ["hunter2-hunter2", f"sha256:{hashlib.sha256(b'hunter2-hunter2').hexdigest()}", "${SECRET}"],
)
def test_two_keys_with_one_secret_are_refused_without_telling_it(second: str) -> None:
    text = f"virtual_keys:\n- {{key_name: a, key: hunter2-hunter2}}\n- {{key_name: b, key: '{second}'}}"

    (line,) = lines_of(text, {"SECRET": "hunter2-hunter2"})

    assert line.startswith("t.yaml:3: virtual_keys[1].key: the same secret as virtual_keys[0].key")
    assert "hunter2" not in line


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "customers: [{name: acme}]\nteams: [{name: a, customer: amce}]",
            "t.yaml:2: teams[0].customer: there is no customer 'amce' (did you mean acme?)",
        ),
        ("virtual_keys: [{key_name: a, team: t}]", "virtual_keys[0].team: there is no team 't' (no team is declared)"),
        ("virtual_keys: [{key_name: a, customer: c}]", "virtual_keys[0].customer: there is no customer 'c'"),
        (
            "providers: [{name: openai}]\nvirtual_keys: [{key_name: a, providers: [{name: zzz}]}]",
            "virtual_keys[0].providers[0].name: there is no provider 'zzz' (known: openai)",
        ),
        (
            "semantic_cache: {embedding: {provider: openai, model: m, dimensions: 3}}",
            "semantic_cache.embedding.provider: there is no provider 'openai'",
        ),
    ],
)
def test_a_dangling_reference_is_refused(text: str, expected: str) -> None:
    (line,) = lines_of(text)

    assert expected in line


def test_a_key_cannot_have_another_customer_than_its_team() -> None:
    text = """
customers: [{name: one}, {name: two}]
teams: [{name: t, customer: one}]
virtual_keys:
  - {key_name: same, team: t, customer: one}
  - {key_name: other, team: t, customer: two}
"""
    assert lines_of(text) == [
        "t.yaml:6: virtual_keys[1].customer: 'two' is not the customer of the key's team"
        " (remove it; the team's customer pays)"
    ]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("budget_limit: 1", "budget_limit: budget_duration is missing beside it"),
        ("budget_duration: 1d", "budget_duration: budget_limit is missing beside it"),
        ("rate_limit: {token_limit: 1}", "rate_limit.token_limit: token_limit_duration is missing beside it"),
        ("rate_limit: {request_limit_duration: 1h}", "request_limit_duration: request_limit is missing beside it"),
        ("providers: [{name: openai, budget_limit: 1}]", "providers[0].budget_limit: budget_duration is missing"),
    ],
)
def test_a_limit_needs_its_window(fields: str, expected: str) -> None:
    (line,) = lines_of(f"providers: [{{name: openai}}]\nvirtual_keys: [{{key_name: a, {fields}}}]")

    assert expected in line


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        ("{}", "a server needs either command (stdio) or url (HTTP)"),
        ("{command: x, url: 'http://h/'}", "a server needs either command (stdio) or url (HTTP)"),
        ("{command: x, headers: {A: b}}", "headers: has no meaning for a server with command"),
        ("{url: 'http://h/', args: [x]}", "args: has no meaning for a server with url"),
        ("{command: x, transport: sse}", "transport: 'sse' does not fit a server with command"),
        ("{url: 'http://h/', type: stdio}", "type: 'stdio' does not fit a server with url"),
    ],
)
def test_a_server_is_either_a_program_or_an_address(server: str, expected: str) -> None:
    assert any(expected in line for line in lines_of(f"mcp_servers: {{a: {server}}}"))


@pytest.mark.parametrize(
    ("first", "second", "place"),
    [
        ("prefix: z", "prefix: z", "b.prefix"),
        ("prefix: b", "args: []", "b"),
        ("args: []", "aliases: [x, a]", "b.aliases[1]"),
        ("aliases: [old]", "aliases: [old]", "b.aliases[0]"),
    ],
)
def test_a_tools_name_leads_to_one_server_only(first: str, second: str, place: str) -> None:
    (line,) = lines_of(f"mcp_servers:\n  a: {{command: x, {first}}}\n  b: {{command: x, {second}}}\n")

    assert line.startswith(f"t.yaml:3: mcp_servers.{place}: ")
    assert "begins the tool names of mcp_servers.a" in line


@pytest.mark.parametrize("name", ["a__b", "a_", "A", "_a", "-a", "a" * 33, "a.b", "''"])
def test_a_server_name_must_fit_into_tool_names(name: str) -> None:
    assert any(
        "must be 1 to 32 of a-z 0-9 _ -" in line for line in lines_of(f"mcp_servers: {{{name}: {{command: x}}}}")
    )


@pytest.mark.parametrize("host", ["0.0.0.0", "'::'", "192.168.0.10", "gate.example.com"])
def test_an_address_beyond_loopback_needs_a_name(host: str) -> None:
    assert "needs server.public_url or server.allowed_hosts" in lines_of(f"server: {{host: {host}}}")[0]
    for named in ("public_url: 'https://gate.example.com'", "allowed_hosts: [gate.example.com]"):
        loads(f"server: {{host: {host}, {named}}}".encode(), "t.yaml", {})


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost", "'::1'"])
def test_loopback_needs_no_name(host: str) -> None:
    assert loads(f"server: {{host: {host}}}".encode(), "t.yaml", {}).config.server.host == host.strip("'")


def test_a_gate_that_answers_sampling_itself_needs_a_model() -> None:
    (line,) = lines_of("mcp: {sampling: gateway}")

    assert line.startswith("t.yaml:1: mcp.sampling: with gateway, sampling_model must name the model")
