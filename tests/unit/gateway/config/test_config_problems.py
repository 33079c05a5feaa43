"""Whatever is wrong with a file is told at once, one line a problem, with its place and the way out."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config.loader import ConfigError, load, loads
from gateway.config.report import effective, schema


def lines_of(text: str, environ: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loads(text.encode(), "t.yaml", environ or {})
    return [str(problem) for problem in caught.value.problems]


def test_an_unknown_key_names_its_line_and_the_nearest_known_key() -> None:
    text = "virtual_keys:\n  - key_name: a\n    bugdet_limit: 3\n"

    assert lines_of(text) == ["t.yaml:3: virtual_keys[0].bugdet_limit: unknown key (did you mean budget_limit?)"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sever: {port: 1}", "t.yaml:1: sever: unknown key (did you mean server?)"),
        ("server: {prot: 1}", "t.yaml:1: server.prot: unknown key (did you mean port?)"),
        ("zzz: 1", "t.yaml:1: zzz: unknown key"),
        (
            "providers:\n- {name: openai, api_key: x, prices: {m: {input_per_milion: 1, output_per_million: 2}}}",
            "t.yaml:2: providers[0].prices.m.input_per_milion: unknown key (did you mean input_per_million?)",
        ),
        ("mcp_servers: {a: {comand: x, url: 'http://h/'}}", "(did you mean command?)"),
        (
            "semantic_cache: {embedding: {provider: p, modl: m, dimensions: 3}}\n"
            "providers: [{name: p, type: openai, base_url: 'http://h'}]",
            "semantic_cache.embedding.modl: unknown key (did you mean model?)",
        ),
    ],
)
def test_unknown_keys_are_found_at_every_depth(text: str, expected: str) -> None:
    assert any(expected in line for line in lines_of(text))


def test_an_unset_variable_names_key_line_and_variable() -> None:
    text = "providers:\n  - name: openai\n    api_key: ${MY_KEY}\n"

    assert lines_of(text) == [
        "t.yaml:3: providers[0].api_key: the environment variable MY_KEY is not set"
        " (set it, or write ${MY_KEY:-} if it may be empty)"
    ]


def test_a_value_with_an_unset_variable_has_no_second_problem() -> None:
    text = 'server: {port: "${PORT}"}\nmcp_servers: {a: {url: os.environ/URL}}'

    assert [line.split(": ", 2)[1] for line in lines_of(text)] == ["server.port", "mcp_servers.a.url"]


def test_a_reference_that_is_not_closed_is_refused() -> None:
    assert "begins no variable" in lines_of("providers: [{name: openai, api_key: '${KEY'}]")[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("server: {port: many}", "server.port: must be a whole number"),
        ("server: {port: 70000}", "server.port: must be less than or equal to 65535"),
        ("server: [1]", "server: must be a mapping of key: value"),
        ("teams: {name: x}", "teams: must be a list, such as [a, b]"),
        ("providers: [{name: openai, weight: heavy}]", "providers[0].weight: must be a number"),
        ("providers: [{name: openai, weight: .nan}]", "providers[0].weight: must be a number"),
        ("providers: [{name: openai, weight: nan}]", "providers[0].weight: must be a finite number"),
        ("providers: [{name: openai, allowed_models: gpt-4o}]", "allowed_models: must be a list"),
        ("providers: [{name: openai, base_url: example.com}]", "base_url: must be a URL"),
        ("providers: [{name: openai, base_url: 'https://u:p@h/'}]", "the URL carries credentials"),
        ("providers: [{name: openai, base_url: 'https://h:x/'}]", "is not a valid URL"),
        ('providers: [{name: openai, api_key: "a\\n"}]', "api_key: contains a line break"),
        ("providers: [{name: a/b, type: openai}]", "providers[0].name: must begin with a letter or digit"),
        ("providers: [{name: lab}]", "providers[0].type: is required (a provider whose name is no known type"),
        ("mcp_servers: {a: {command: x, enabled: maybe}}", "enabled: must be true or false"),
        ("mcp_servers: {a: {command: x, isolation: shard}}", "(did you mean shared?)"),
        ("customers: [{name: [x]}]", "customers[0].name: must be a text"),
        ("customers: [{budget_limit: 1, budget_duration: 1d}]", "customers[0].name: is required"),
        ("virtual_keys: [{key_name: a, expires_at: 2027-01-01}]", "expires_at: needs a time zone"),
        ("virtual_keys: [{key_name: a, expires_at: soon}]", "expires_at: must be a moment"),
        ("virtual_keys: [{key_name: a, key: 'sha256:12'}]", "a hashed key is sha256: and 64"),
        ("virtual_keys: [{key_name: a, key: 'two words'}]", "must be printable ASCII without spaces"),
        ("stores: {counters: memcached}", "stores.counters: must be memory or a redis:// address"),
        ("stores: {ledger: 'mysql://h'}", "stores.ledger: must begin with one of: sqlite:, postgresql:"),
        ("teams: [{name: a, allowed_tools: ['!']}]", "must not be an empty pattern"),
        ("server: {trusted_proxies: [proxy]}", "must be an IP address or network"),
        ("server: {allowed_origins: ['https://a.example/x']}", "must be an origin without path"),
        ("server: {allowed_hosts: ['https://a']}", "must be a host name"),
    ],
)
def test_a_wrong_value_is_told_in_the_words_of_the_file(text: str, expected: str) -> None:
    assert any(expected in line for line in lines_of(text)), lines_of(text)


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        ("-1", "must not be negative"),
        (".nan", "must be a number of dollars"),
        ("nan", "must be a finite number of dollars"),
        ("inf", "must be a finite number of dollars"),
        ("1000000000.01", "must be at most 1,000,000,000 dollars"),
        ("0.0000000001", "must not be finer than a nano-dollar"),
        ("100000000.0000000000000000000000000001", "must not be finer than a nano-dollar"),
        ("1e-999999", "must not be finer than a nano-dollar"),
        ("ten", "must be a number of dollars"),
        ("true", "must be a number of dollars"),
        ("[1]", "must be a number of dollars"),
    ],
)
def test_an_absurd_amount_of_money_is_refused(amount: str, expected: str) -> None:
    assert any(expected in line for line in lines_of(f"tool_prices: {{a/b: {amount}}}"))


@pytest.mark.parametrize("duration", ["0d", "1x", "d", "-1d", "1.5h", "10000d", "1D", " 1d", "1d "])
def test_a_window_that_is_none_is_refused(duration: str) -> None:
    text = f"customers: [{{name: a, budget_limit: 1, budget_duration: '{duration}'}}]"

    assert "must be a duration" in lines_of(text)[0]


def test_all_problems_are_told_in_one_run_in_the_order_of_lines() -> None:
    text = """\
providers:
  - {name: openai, api_key: "${OPENAI_API_KEY}"}
  - {name: openai}
mcp_servers:
  files: {comand: npx}
  files: {command: npx}
customers:
  - {name: acme, budget_limit: lots}
teams:
  - {name: research, customer: amce, budget_limit: -1, budget_duration: 1d}
virtual_keys:
  - {key_name: a, team: reserach, allowed_models: gpt-4o}
server: {host: 0.0.0.0}
"""
    found = [(line.split(":")[1], line.split(": ")[1]) for line in lines_of(text)]

    assert found == [
        ("2", "providers[0].api_key"),
        ("3", "providers[1].name"),
        ("5", "mcp_servers.files"),
        ("5", "mcp_servers.files.comand"),
        ("6", "mcp_servers.files"),
        ("8", "customers[0].budget_limit"),
        ("8", "customers[0].budget_limit"),
        ("10", "teams[0].customer"),
        ("10", "teams[0].budget_limit"),
        ("12", "virtual_keys[0].team"),
        ("12", "virtual_keys[0].allowed_models"),
        ("13", "server.host"),
    ]


def test_no_problem_quotes_a_value_of_the_environment() -> None:
    text = """
server: {host: "${S}", port: "${S}"}
providers: [{name: "${S}", type: "${S}", base_url: "${S}", prices: "${S}"}, {name: "${S}", type: openai}]
mcp_servers: {a: {url: "${S}", transport: "${S}", isolation: "${S}"}}
customers: [{name: c, budget_limit: "${S}", budget_duration: "${S}"}]
teams: [{name: t, customer: "${S}"}]
virtual_keys: [{key_name: k, key: "${S}", team: "${S}", expires_at: "${S}", providers: [{name: "${S}x"}]}]
stores: {ledger: "${S}", counters: "${S}"}
"""
    lines = lines_of(text, {"S": "top secret"})

    assert len(lines) > 12
    assert not [line for line in lines if "top secret" in line]


def test_a_file_that_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "absent.yaml", {})

    assert str(caught.value) == f"{tmp_path / 'absent.yaml'}: cannot be read: No such file or directory"


def test_a_file_is_read_from_its_path(tmp_path: Path) -> None:
    path = tmp_path / "t.yaml"
    path.write_text("server: {port: 9}")

    assert load(path, {}).config.server.port == 9


keys = st.sampled_from(sorted({name for block in schema()["$defs"].values() for name in block["properties"]}))
texts = st.sampled_from(
    ["a", "openai", "files/*", "!x", "", "1d", "3", "-1", "nan", "1e999999", "${A}", "${A:-}", "http://h"]
)
values = st.recursive(
    texts | st.none() | st.booleans() | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys | texts, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(schema()["properties"])), values, max_size=4))
def test_any_document_either_loads_and_is_printed_or_has_problems_with_lines(document: dict[str, object]) -> None:
    try:
        loaded = loads(yaml.safe_dump(document, sort_keys=False).encode(), "t.yaml", {})
    except ConfigError as error:
        assert error.problems and all(problem.line > 0 for problem in error.problems)
    else:
        assert effective(loaded.config)


def test_a_key_with_a_line_break_stays_on_one_line() -> None:
    (line,) = lines_of('"a\\nb": 1')

    assert line == "t.yaml:1: 'a\\nb': unknown key"


def test_a_variable_that_is_no_text_is_a_problem_of_its_key() -> None:
    lines = lines_of("virtual_keys:\n- {key_name: a, key: 'os.environ/K'}", {"K": "caf\udce9"})

    assert [line.split(": ")[1] for line in lines] == ["virtual_keys[0].key"]
