"""Keys, revocation, reload, the ledger and the command line, on a real gateway process."""

from __future__ import annotations

import asyncio
import json
import signal
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from policies.ledger import LedgerRow
from tests.peers.scripted_llm import ScriptedLLM
from tests.support.gateway import ROOT, RunningGateway

pytestmark = pytest.mark.anyio

COLUMNS = LedgerRow.__struct_fields__
FILE_KEY = "vk-file-0123456789abcdef0123456789a"
LAB = ROOT / "tests" / "peers" / "lab_server.py"


def configuration(llm: ScriptedLLM) -> str:
    return f"""
    providers:
      - {{name: openai, api_key: sk-upstream, base_url: "{llm.base}/v1", allowed_models: ["gpt-4o"]}}
    mcp_servers:
      lab: {{command: "{sys.executable}", args: ["{LAB}"]}}
    customers:
      - {{name: acme, budget_limit: 1000, budget_duration: 1M}}
    teams:
      - {{name: research, customer: acme, allowed_models: ["gpt-*"], allowed_tools: ["lab/*"], budget_limit: 300, budget_duration: 1M}}
    virtual_keys:
      - {{key_name: filed, key: {FILE_KEY}, team: research, budget_limit: 100, budget_duration: 1M}}
    """


@pytest.fixture(scope="module")
async def shared_gate(
    shared_llm: ScriptedLLM, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RunningGateway]:
    async with RunningGateway(configuration(shared_llm), tmp_path_factory.mktemp("gate")) as running:
        yield running


@pytest.fixture
def gate(shared_gate: RunningGateway, llm: ScriptedLLM) -> RunningGateway:
    shared_gate.mark()
    return shared_gate


@pytest.fixture
async def own_gate(llm: ScriptedLLM, tmp_path: Path) -> AsyncIterator[RunningGateway]:
    """A gateway that the test may stop, kill or reconfigure."""
    async with RunningGateway(configuration(llm), tmp_path) as running:
        yield running


async def status_of(gate: RunningGateway, key: str) -> int:
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}
    reply = await gate.http.post("/v1/chat/completions", json=body, headers={"authorization": f"Bearer {key}"})
    return reply.status_code


async def test_a_key_is_made_used_rotated_and_revoked_by_the_command_line(gate: RunningGateway) -> None:
    code, out, err = await gate.cli("keys", "create", "ci", "--team", "research", "--budget", "5/1d")
    assert code == 0, err
    secret = out.strip()
    assert await status_of(gate, secret) == 200
    code, listed, _ = await gate.cli("keys", "list")
    assert "ci" in listed
    assert secret not in listed
    code, out, _ = await gate.cli("keys", "rotate", "ci")
    renewed = out.strip()
    assert (await status_of(gate, renewed), await status_of(gate, secret)) == (200, 401)
    await gate.cli("keys", "revoke", "ci")
    assert await status_of(gate, renewed) == 401
    assert secret.encode() not in (gate.state / "ledger.db").read_bytes()
    me = await gate.http.get("/me", headers={"x-bf-vk": renewed})
    assert (me.status_code, me.json()["error"]["code"]) == (401, "revoked_key")


async def test_a_rotated_keys_old_secret_lives_through_its_grace(gate: RunningGateway) -> None:
    _, out, _ = await gate.cli("keys", "create", "graced", "--team", "research")
    _, new, _ = await gate.cli("keys", "rotate", "graced", "--grace", "3600")
    assert (await status_of(gate, out.strip()), await status_of(gate, new.strip())) == (200, 200)


async def test_a_key_of_the_file_cannot_be_changed_by_the_api(gate: RunningGateway) -> None:
    for method, path in (("DELETE", "/api/keys/filed"), ("POST", "/api/keys/filed/rotate")):
        reply = await gate.admin(method, path, **({"json": {}} if method == "POST" else {}))
        assert (reply.status_code, reply.json()["error"]["code"]) == (409, "owned_by_file")
    reply = await gate.admin("POST", "/api/keys", json={"name": "filed"})
    assert (reply.status_code, reply.json()["error"]["code"]) == (409, "name_taken")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"name": "x", "team": "nobody"}, "unknown_team"),
        ({"name": "x", "customer": "nobody"}, "unknown_customer"),
        ({"name": "x", "budget_limit": 5}, "invalid_request"),
        ({"name": "x", "budget_limit": -5, "budget_duration": "1d"}, "invalid_request"),
        ({"name": "x", "budget_limit": 5, "budget_duration": "1x"}, "invalid_request"),
        ({"name": "x", "colour": "red"}, "invalid_request"),
        ({"name": "../x"}, "invalid_request"),
    ],
)
async def test_a_wrong_key_request_changes_nothing(gate: RunningGateway, body: dict[str, object], code: str) -> None:
    before = (await gate.admin("GET", "/api/keys")).json()
    reply = await gate.admin("POST", "/api/keys", json=body)
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, code)
    assert (await gate.admin("GET", "/api/keys")).json() == before


async def test_no_admin_route_answers_without_the_token(gate: RunningGateway) -> None:
    for path in (
        "/api/keys",
        "/api/ledger",
        "/api/ledger/totals",
        "/api/ledger/runs/x",
        "/api/ledger/follow",
        "/api/doctor",
        "/api/explain?key=filed&model=x",
        "/metrics",
    ):
        for headers in ({}, {"authorization": f"Bearer {FILE_KEY}"}, {"authorization": "Bearer tka-wrong"}):
            reply = await gate.http.get(path, headers=headers)
            assert (path, reply.status_code) == (path, 401)
    assert stat.S_IMODE((gate.state / "admin.token").stat().st_mode) == 0o600
    assert stat.S_IMODE(gate.state.stat().st_mode) == 0o700


async def test_a_key_can_ask_for_its_own_limits_at_every_tier(own_gate: RunningGateway) -> None:
    gate = own_gate
    await status_of(gate, FILE_KEY)
    said = (await gate.http.get("/me", headers={"x-bf-vk": FILE_KEY})).json()
    assert (said["key"], said["team"], said["customer"]) == ("filed", "research", "acme")
    used = {limit["tier"]: limit["used"] for limit in said["limits"] if limit["measure"] == "cost"}
    (row,) = await gate.rows()
    assert used == {"key:filed": row["cost_nano"], "team:research": row["cost_nano"], "customer:acme": row["cost_nano"]}
    assert row["cost_nano"] > 0
    assert row["tiers"] == ["key:filed", "team:research", "customer:acme", "provider:openai"]


async def test_sighup_takes_a_good_file_whole_and_a_bad_one_not_at_all(own_gate: RunningGateway) -> None:
    gate = own_gate
    pid = (await gate.call(FILE_KEY, "lab__pid"))["result"]["structuredContent"]["result"]
    text = gate.config.read_text()
    other = "vk-other-0123456789abcdef0123456789"
    gate.config.write_text(text + f"  - {{key_name: other, key: {other}, team: research}}\n")
    gate.process.send_signal(signal.SIGHUP)
    for _ in range(200):
        if await status_of(gate, other) == 200:
            break
        await asyncio.sleep(0.02)
    else:
        raise AssertionError("the new key was not taken")
    assert (await gate.call(FILE_KEY, "lab__pid"))["result"]["structuredContent"]["result"] == pid
    gate.config.write_text(text.replace("filed", "renamed").replace("team: research,", "team: nowhere,"))
    gate.process.send_signal(signal.SIGHUP)
    for _ in range(200):
        if "configuration_not_reloaded" in gate.log.read_text():
            break
        await asyncio.sleep(0.02)
    assert (await status_of(gate, FILE_KEY), await status_of(gate, other)) == (200, 200)


async def test_a_restart_remembers_keys_rows_and_usage(own_gate: RunningGateway) -> None:
    gate = own_gate
    _, secret, _ = await gate.cli("keys", "create", "kept", "--team", "research", "--budget", "5/1d")
    await status_of(gate, secret.strip())
    before = (await gate.http.get("/me", headers={"x-bf-vk": secret.strip()})).json()["limits"]
    assert await gate.stop() == 0
    await gate.http.aclose()
    await gate.start()
    assert (await gate.http.get("/me", headers={"x-bf-vk": secret.strip()})).json()["limits"] == before
    assert len(await gate.rows(key="kept")) == 1


async def test_a_killed_gateway_finds_every_call_that_was_under_way(own_gate: RunningGateway, llm: ScriptedLLM) -> None:
    gate = own_gate
    await status_of(gate, FILE_KEY)
    llm.gate = asyncio.Event()
    calls = [asyncio.create_task(status_of(gate, FILE_KEY)) for _ in range(5)]
    for _ in range(6):
        await llm.arrived.acquire()
    await gate.kill()
    await asyncio.gather(*calls, return_exceptions=True)
    llm.gate = None
    await gate.http.aclose()
    await gate.start()
    rows = await gate.rows()
    assert sorted(row["outcome"] for row in rows) == ["interrupted"] * 5 + ["ok"]
    assert all(row["basis"] == "estimated" and row["cost_nano"] > 0 for row in rows if row["outcome"] == "interrupted")
    (key_limit, *_) = (await gate.http.get("/me", headers={"x-bf-vk": FILE_KEY})).json()["limits"]
    assert (key_limit["used"], key_limit["held"]) == (sum(row["cost_nano"] for row in rows), 0)


async def test_the_ledger_is_paged_filtered_grouped_and_followed(gate: RunningGateway) -> None:
    follow = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway.cli", "ledger", "--follow", "--json", "--state", str(gate.state),
        cwd=ROOT, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    for number in range(3):
        await gate.call(FILE_KEY, "lab__echo", {"text": str(number)})
    await status_of(gate, FILE_KEY)
    wanted = {"limit": 3, "since_ns": gate.since_ns}
    page = (await gate.admin("GET", "/api/ledger", params=wanted)).json()
    rest = (await gate.admin("GET", "/api/ledger", params={**wanted, "cursor": page["next_cursor"]})).json()
    ids = [row["call_id"] for row in page["rows"] + rest["rows"]]
    assert (len(set(ids)), ids, rest["next_cursor"]) == (4, sorted(ids, reverse=True), None)
    assert all(set(row) == set(COLUMNS) for row in page["rows"]), "empty columns are told too"
    totals = (
        await gate.admin("GET", "/api/ledger/totals", params={"group_by": "kind", "since_ns": gate.since_ns})
    ).json()["totals"]
    assert {t["group"]: t["calls"] for t in totals} == {"model": 1, "tool": 3}
    bad = await gate.admin("GET", "/api/ledger", params={"cursor": "nonsense"})
    assert (bad.status_code, bad.json()["error"]["code"]) == (400, "invalid_cursor")
    assert follow.stdout is not None
    seen: set[str] = set()
    while not seen.issuperset(ids):
        row = json.loads(await follow.stdout.readline())
        assert set(row) == set(COLUMNS)
        seen.add(row["call_id"])
    follow.send_signal(signal.SIGINT)
    assert await follow.wait() == 0


async def test_explain_and_doctor_tell_the_operator_why(gate: RunningGateway) -> None:
    code, out, _ = await gate.cli("explain", "--key", "filed", "--model", "gpt-4o")
    assert "(speaks openai)" in out
    assert "gpt-4o: allowed for filed" in out
    assert "openai/gpt-4o" in out
    _, out, _ = await gate.cli("explain", "--key", "filed", "--model", "claude-x")
    assert "denied" in out
    assert "the provider's allowed_models do not include 'claude-x'" in out
    _, out, _ = await gate.cli("explain", "--key", "filed", "--tool", "lab/add")
    assert "allowed_tools allow 'lab/add'" in out
    code, _, err = await gate.cli("explain", "--key", "nobody", "--model", "x")
    assert (code, "unknown_key" in err) == (1, True)
    await gate.tools(FILE_KEY)
    code, out, _ = await gate.cli("doctor")
    assert code == 0
    (head, line, *_) = out.splitlines()
    assert head.split() == [
        "server",
        "state",
        "era",
        "transport",
        "isolation",
        "tools",
        "tokens",
        "name",
        "budget",
        "last",
        "failure",
    ]
    assert line.split()[:5] == ["lab", "ok", "modern", "stdio", "auto"]


async def test_metrics_count_what_the_ledger_says(own_gate: RunningGateway) -> None:
    gate = own_gate
    await status_of(gate, FILE_KEY)
    text = (await gate.admin("GET", "/metrics")).text
    assert 'tollkeeper_calls_total{code="",kind="model",outcome="ok",provider="openai"} 1.0' in text


async def test_a_second_gateway_on_the_same_state_is_refused(gate: RunningGateway) -> None:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway.cli", "serve", "-c", str(gate.config), "--port", "0", "--state", str(gate.state),
        cwd=ROOT, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, err = await child.communicate()
    assert child.returncode == 1
    assert "Another gateway uses the state directory" in err.decode()
    assert (gate.state / "address").read_text().strip() == gate.address


async def test_check_prints_every_problem_and_ends_with_2(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text("teams: [{name: a, bugdet_limit: 3}, {name: a}]\nvirtual_keys: [{key_name: k, team: nowhere}]\n")
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway.cli", "check", str(file), cwd=ROOT, stderr=asyncio.subprocess.PIPE
    )
    _, err = await child.communicate()
    lines = err.decode().splitlines()
    assert child.returncode == 2
    assert any("bugdet_limit" in line and "budget_limit" in line for line in lines)
    assert any("nowhere" in line for line in lines)
    assert all(line.startswith(f"{file}:") for line in lines)


async def test_without_a_gateway_the_command_line_opens_the_database(own_gate: RunningGateway) -> None:
    await status_of(own_gate, FILE_KEY)
    await own_gate.stop()
    code, out, err = await own_gate.cli("keys", "create", "offline", "--model", "gpt-4o")
    assert code == 0, err
    _, listed, _ = await own_gate.cli("keys", "list")
    assert "offline" in listed
    _, rows, _ = await own_gate.cli("ledger")
    assert "gpt-4o  ok  filed" in rows
    code, _, err = await own_gate.cli("doctor")
    assert (code, "No gateway runs" in err) == (1, True)
    await own_gate.http.aclose()
    await own_gate.start()
    assert await status_of(own_gate, out.strip()) == 200
