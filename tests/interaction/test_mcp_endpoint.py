"""The MCP endpoint of a real gateway, in both eras, before real servers over stdio and HTTP."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.support.gateway import MODERN, ROOT, RunningGateway
from tests.support.services import free_port, python_server, wait_for_port

pytestmark = pytest.mark.anyio

ALICE = "vk-alice-0123456789abcdef0123456789"
BOB = "vk-bob-0123456789abcdef012345678901"
LAB = ROOT / "tests" / "peers" / "lab_server.py"


@pytest.fixture(scope="module")
async def shared_gate(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningGateway]:
    async with python_server(str(LAB)) as port:
        yaml = f"""
    mcp_servers:
      lab: {{command: "{sys.executable}", args: ["{LAB}"], timeout: 20}}
      web: {{url: "http://127.0.0.1:{port}/mcp", timeout: 20}}
      time: {{command: mcp-server-time, args: ["--local-timezone", "UTC"]}}
      broken: {{command: no-such-program}}
    tool_prices: {{"lab/*": 0.001, "lab/add": 0.002}}
    virtual_keys:
      - {{key_name: alice, key: {ALICE}, allowed_tools: ["lab/*", "web/*", "broken/*", "!lab/fail"]}}
      - {{key_name: bob, key: {BOB}, allowed_tools: ["lab/echo", "time/*"]}}
      - {{key_name: poor, key: vk-poor-0123456789abcdef01234567890, allowed_tools: ["lab/*"],
          budget_limit: 0.0015, budget_duration: 1d}}
    """
        async with RunningGateway(yaml, tmp_path_factory.mktemp("gate")) as running:
            yield running


@pytest.fixture
def gate(shared_gate: RunningGateway) -> RunningGateway:
    shared_gate.mark()
    return shared_gate


async def test_discover_says_what_there_is(gate: RunningGateway) -> None:
    result = (await gate.mcp(ALICE, "server/discover")).json()["result"]
    assert result["supportedVersions"] == [MODERN]
    assert result["capabilities"]["tools"] == {"listChanged": True}
    assert (result["resultType"], result["cacheScope"]) == ("complete", "private")
    assert "A server for tests." in result["instructions"]


async def test_a_key_sees_exactly_its_own_tools(gate: RunningGateway) -> None:
    alice, bob = await gate.tools(ALICE), await gate.tools(BOB)
    assert "lab__add" in alice
    assert "web__add" in alice
    assert "lab__fail" not in alice
    assert not any(name.startswith("time__") for name in alice)
    assert sorted(bob) == ["lab__echo", "time__convert_time", "time__get_current_time"]


async def test_a_list_names_the_member_that_is_down_only_to_keys_with_a_grant_on_it(gate: RunningGateway) -> None:
    result = (await gate.mcp(ALICE, "tools/list")).json()["result"]
    (outcome,) = result["_meta"]["io.tollkeeper/outcomes"]
    assert (outcome["server"], outcome["state"], outcome["code"]) == ("broken", "failed", "member_unavailable")
    assert result["ttlMs"] == 0
    assert "no-such-program" in outcome["message"]
    assert "io.tollkeeper/outcomes" not in (await gate.mcp(BOB, "tools/list")).json()["result"]["_meta"]


@pytest.mark.parametrize("server", ["lab", "web"])
async def test_a_call_reaches_its_server_and_is_on_the_ledger(gate: RunningGateway, server: str) -> None:
    answer = await gate.call(ALICE, f"{server}__add", {"a": 2, "b": 40})
    assert answer["result"]["structuredContent"] == {"result": 42}
    assert answer["result"]["resultType"] == "complete"
    (row,) = await gate.rows()
    assert (row["kind"], row["target"], row["outcome"], row["key"]) == ("tool", f"{server}/add", "ok", "alice")
    assert (row["cost_nano"], row["basis"]) == ((2_000_000, "configured") if server == "lab" else (0, "none"))


@pytest.mark.parametrize("name", ["lab__fail", "time__get_current_time", "lab__nothing", "nothing"])
async def test_denied_and_unknown_tools_look_the_same(gate: RunningGateway, name: str) -> None:
    reply = await gate.mcp(ALICE, "tools/call", {"name": name, "arguments": {}})
    assert reply.status_code == 400
    assert reply.json() == {"jsonrpc": "2.0", "id": 1, "error": {"code": -32602, "message": f"Unknown tool: {name}"}}
    (row,) = await gate.rows()
    assert (row["outcome"], row["code"]) == ("refused", "unknown_tool")


async def test_one_server_is_served_under_its_own_names(gate: RunningGateway) -> None:
    assert "add" in await gate.tools(ALICE, "/mcp/lab")
    reply = await gate.mcp(ALICE, "tools/call", {"name": "add", "arguments": {"a": 1, "b": 2}}, path="/mcp/lab")
    assert reply.json()["result"]["structuredContent"] == {"result": 3}
    for path in ("/mcp/time", "/mcp/nothing"):  # no grant, and no such server: one answer
        reply = await gate.mcp(ALICE, "tools/list", path=path)
        assert (reply.status_code, reply.json()["error"]["code"]) == (404, "unknown_server")


async def test_a_failing_tool_is_a_result_and_no_failure(gate: RunningGateway) -> None:
    answer = await gate.mcp("vk-poor-0123456789abcdef01234567890", "tools/call", {"name": "lab__fail", "arguments": {}})
    assert answer.json()["result"]["isError"] is True
    (row,) = await gate.rows()
    assert (row["outcome"], row["stop_reason"], row["cost_nano"]) == ("ok", "tool_error", 1_000_000)
    refused = await gate.mcp(
        "vk-poor-0123456789abcdef01234567890", "tools/call", {"name": "lab__echo", "arguments": {}}
    )
    result = refused.json()["result"]
    assert result["isError"] is True
    assert result["_meta"]["io.tollkeeper/refusal"]["code"] == "budget_exceeded"
    assert "key:poor" in result["content"][0]["text"]


async def test_a_call_to_a_server_that_is_down_says_so(gate: RunningGateway) -> None:
    reply = (await gate.mcp(ALICE, "tools/call", {"name": "broken__x", "arguments": {}})).json()
    assert reply["error"]["message"] == "Unknown tool: broken__x"  # it never listed any


async def test_resources_and_prompts_pass(gate: RunningGateway) -> None:
    uris = [r["uri"] for r in (await gate.mcp(ALICE, "resources/list", path="/mcp/web")).json()["result"]["resources"]]
    assert uris == ["lab://note"]
    read = (await gate.mcp(ALICE, "resources/read", {"uri": "lab://note"})).json()["result"]
    assert read["contents"][0]["text"] == "a note"
    assert read["cacheScope"] == "private"
    item = (await gate.mcp(ALICE, "resources/read", {"uri": "lab://item/seven"}, path="/mcp/web")).json()["result"]
    assert item["contents"][0]["text"] == "item seven"
    prompt = (await gate.mcp(ALICE, "prompts/get", {"name": "web__greet", "arguments": {"name": "Ada"}})).json()
    assert prompt["result"]["messages"][0]["content"]["text"] == "Say hello to Ada."
    # Bob's tools grant covers only a part of the server, so its resources and prompts do not exist for him.
    denied = (await gate.mcp(BOB, "resources/read", {"uri": "lab://note"})).json()
    assert denied["error"]["message"] == "Resource not found: lab://note"
    assert (await gate.mcp(BOB, "prompts/list")).json()["result"]["prompts"] == []


@pytest.mark.parametrize("server", ["lab", "web"])
async def test_progress_streams_with_the_clients_own_token(gate: RunningGateway, server: str) -> None:
    params = {"name": f"{server}__progress", "arguments": {"steps": 3}, "_meta": {"progressToken": "mine"}}
    reply = await gate.mcp(ALICE, "tools/call", params)
    assert reply.headers["content-type"].startswith("text/event-stream")
    events = [json.loads(line[6:]) for line in reply.text.splitlines() if line.startswith("data: ")]
    assert [e["params"]["progress"] for e in events[:-1]] == [1, 2, 3]
    assert {e["params"]["progressToken"] for e in events[:-1]} == {"mine"}
    assert events[-1]["id"] == 1
    assert events[-1]["result"]["content"][0]["text"] == "done"


@pytest.mark.parametrize("server", ["lab", "web"])
async def test_eight_calls_through_one_session_are_in_flight_together(gate: RunningGateway, server: str) -> None:
    answers = await asyncio.gather(*(gate.call(ALICE, f"{server}__barrier", {"count": 8}) for _ in range(8)))
    assert [a["result"]["content"][0]["text"] for a in answers] == ["all here"] * 8


@pytest.mark.parametrize("server", ["lab", "web"])
async def test_a_modern_client_that_leaves_cancels_its_call(gate: RunningGateway, server: str, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    call = asyncio.create_task(gate.call(ALICE, f"{server}__forever", {"path": str(notes)}))
    await until(lambda: notes.exists())
    call.cancel()
    await until(lambda: "cancelled" in notes.read_text())
    await until_rows(gate, 1)
    assert [row["outcome"] for row in await gate.rows()] == ["cancelled"]


@pytest.mark.parametrize(
    ("headers", "meta", "code", "status"),
    [
        ({"mcp-method": "tools/list"}, {}, -32020, 400),
        ({"mcp-name": "lab__echo"}, {}, -32020, 400),
        (
            {"mcp-protocol-version": "1900-01-01"},
            {"io.modelcontextprotocol/protocolVersion": "1900-01-01"},
            -32022,
            400,
        ),
        ({"mcp-protocol-version": "2025-11-25"}, {}, -32020, 400),
        ({"content-type": "text/plain"}, {}, -32600, 415),
    ],
)
async def test_headers_that_disagree_with_the_body_are_refused(
    gate: RunningGateway, headers: dict[str, str], meta: dict[str, str], code: int, status: int
) -> None:
    params = {"name": "lab__add", "arguments": {"a": 1, "b": 1}, "_meta": meta}
    reply = await gate.mcp(ALICE, "tools/call", params, **headers)
    assert (reply.status_code, reply.json()["error"]["code"]) == (status, code)
    assert await gate.rows() == []


async def test_a_header_that_names_a_cheap_tool_does_not_open_an_expensive_one(gate: RunningGateway) -> None:
    params = {"name": "lab__add", "arguments": {"a": 1, "b": 1}}
    reply = await gate.mcp(BOB, "tools/call", params, **{"mcp-name": "lab__echo"})
    assert reply.json()["error"]["code"] == -32020


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"not json", -32700),
        (b"[]", -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"tools/list","method":"tools/call"}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"Method":"tools/list"}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","name":"b"}}', -32600),
        (b'{"jsonrpc":"2.0","id":1.5,"method":"tools/list"}', -32600),
        (b'{"jsonrpc":"1.0","id":1,"method":"tools/list"}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"tools/list","params":"\xff"}', -32700),
    ],
)
async def test_malformed_messages_are_refused(gate: RunningGateway, body: bytes, code: int) -> None:
    headers = {"authorization": f"Bearer {ALICE}", "content-type": "application/json", "mcp-protocol-version": MODERN}
    reply = await gate.http.post("/mcp", content=body, headers=headers)
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, code)


async def test_unknown_and_removed_methods_are_404(gate: RunningGateway) -> None:
    for method in ("ping", "no/such"):
        reply = await gate.mcp(ALICE, method)
        assert (reply.status_code, reply.json()["error"]["code"]) == (404, -32601)


class LegacyClient:
    """The initialize era by hand."""

    def __init__(self, gate: RunningGateway, key: str, version: str = "2025-11-25", path: str = "/mcp") -> None:
        self.gate, self.key, self.version, self.path = gate, key, version, path
        self.session = ""
        self.number = 0

    async def open(self) -> dict[str, Any]:
        client = {"name": "old", "version": "1"}
        params = {"protocolVersion": self.version, "capabilities": {}, "clientInfo": client}
        reply = await self.post("initialize", params)
        self.session = reply.headers["mcp-session-id"]
        await self.post("notifications/initialized", notify=True)
        result: dict[str, Any] = reply.json()["result"]
        return result

    async def post(self, method: str, params: Any = None, *, notify: bool = False) -> httpx.Response:
        self.number += 1
        body: dict[str, Any] = {"jsonrpc": "2.0", "method": method, "params": params or {}}
        if not notify:
            body["id"] = self.number
        return await self.gate.http.post(self.path, json=body, headers=self.headers())

    def headers(self) -> dict[str, str]:
        headers = {"authorization": f"Bearer {self.key}", "accept": "application/json, text/event-stream"}
        if self.session:
            headers |= {"mcp-session-id": self.session, "mcp-protocol-version": self.version}
        return headers


@pytest.mark.parametrize("version", ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"])
async def test_the_initialize_era_works_back_to_its_first_version(gate: RunningGateway, version: str) -> None:
    client = LegacyClient(gate, ALICE, version)
    assert (await client.open())["protocolVersion"] == version
    listed = (await client.post("tools/list")).json()["result"]
    assert {"ttlMs", "cacheScope", "resultType"}.isdisjoint(listed)
    answer = await client.post("tools/call", {"name": "lab__add", "arguments": {"a": 1, "b": 2}})
    assert answer.json()["result"]["structuredContent"] == {"result": 3}
    assert "resultType" not in answer.json()["result"]
    assert (await client.post("ping")).json()["result"] == {}
    assert (await gate.http.delete("/mcp", headers=client.headers())).status_code == 200
    assert (await client.post("tools/list")).status_code == 404
    (row,) = await gate.rows()
    assert (row["surface"], row["run"]) == ("mcp_legacy", client.session)


async def test_an_unknown_version_is_answered_with_our_newest(gate: RunningGateway) -> None:
    assert (await LegacyClient(gate, ALICE, "1999-01-01").open())["protocolVersion"] == "2025-11-25"


async def test_a_session_belongs_to_its_key_and_its_endpoint(gate: RunningGateway) -> None:
    client = LegacyClient(gate, ALICE)
    await client.open()
    thief = LegacyClient(gate, BOB)
    thief.session = client.session
    stolen, unknown = await thief.post("tools/list"), LegacyClient(gate, BOB)
    unknown.session = "0" * 32
    assert stolen.status_code == 404
    assert stolen.json()["error"] == (await unknown.post("tools/list")).json()["error"]
    elsewhere = LegacyClient(gate, ALICE, path="/mcp/lab")
    elsewhere.session = client.session
    assert (await elsewhere.post("tools/list")).status_code == 404


async def test_a_legacy_cancel_ends_exactly_one_call_and_a_disconnect_none(
    gate: RunningGateway, tmp_path: Path
) -> None:
    client = LegacyClient(gate, ALICE)
    await client.open()
    one, two = tmp_path / "one", tmp_path / "two"
    first = asyncio.create_task(client.post("tools/call", {"name": "lab__forever", "arguments": {"path": str(one)}}))
    await until(lambda: one.exists())
    second = asyncio.create_task(client.post("tools/call", {"name": "lab__forever", "arguments": {"path": str(two)}}))
    await until(lambda: two.exists())
    first.cancel()
    await client.post("notifications/cancelled", {"requestId": 4}, notify=True)  # the second call's id
    await until(lambda: "cancelled" in two.read_text())
    assert "did not answer" in (await second).json()["result"]["content"][0]["text"]
    assert one.read_text() == "started\n"
    await client.post("notifications/cancelled", {"requestId": 999}, notify=True)  # unknown: ignored


async def test_a_killed_stdio_server_fails_its_own_call_and_comes_back(gate: RunningGateway) -> None:
    pid = (await gate.call(ALICE, "lab__pid"))["result"]["structuredContent"]["result"]
    died, other = await asyncio.gather(gate.call(ALICE, "lab__die"), gate.call(ALICE, "web__add", {"a": 1, "b": 1}))
    assert died["result"]["isError"] is True
    assert died["result"]["_meta"]["io.tollkeeper/fault"]["code"] == "member_lost"
    assert other["result"]["structuredContent"] == {"result": 2}
    again = (await gate.call(ALICE, "lab__pid"))["result"]["structuredContent"]["result"]
    assert again != pid
    assert not psutil.pid_exists(pid)


async def test_interleaved_keys_never_see_each_others_results_or_rows(gate: RunningGateway) -> None:
    async def one(key: str, who: str, number: int) -> None:
        answer = await gate.call(key, "lab__echo", {"text": f"{who} {number}"})
        assert answer["result"]["content"][0]["text"] == f"{who} {number}"

    await asyncio.gather(*(one(k, w, n) for n in range(40) for k, w in ((ALICE, "alice"), (BOB, "bob"))))
    for who in ("alice", "bob"):
        rows = await gate.rows(key=who)
        assert (len(rows), {row["key"] for row in rows}) == (40, {who})


async def test_a_server_that_goes_down_keeps_its_tools_listed_and_is_named(tmp_path: Path) -> None:
    port = free_port()
    server = await asyncio.create_subprocess_exec(sys.executable, str(LAB), str(port), cwd=ROOT)
    await wait_for_port(port)
    yaml = f"""
    mcp_servers:
      web: {{url: "http://127.0.0.1:{port}/mcp", timeout: 5}}
    virtual_keys:
      - {{key_name: alice, key: {ALICE}, allowed_tools: ["web/*"]}}
    """
    async with RunningGateway(yaml, tmp_path) as gate:
        before = await gate.tools(ALICE)
        server.kill()  # it would wait for the gate's open stream
        await server.wait()
        told = (await gate.call(ALICE, "web__add", {"a": 1, "b": 1}))["result"]
        assert told["isError"] is True
        assert "web" in told["content"][0]["text"]

        async def outcome() -> Any:
            return (await gate.mcp(ALICE, "tools/list")).json()["result"]

        for _ in range(200):
            listed = await outcome()
            if "io.tollkeeper/outcomes" in listed["_meta"]:
                break
            await asyncio.sleep(0.05)
        (stale,) = listed["_meta"]["io.tollkeeper/outcomes"]
        assert (stale["server"], stale["state"]) == ("web", "stale")
        assert "age_s" in stale
        assert [tool["name"] for tool in listed["tools"]] == before
        code, out, _ = await gate.cli("doctor")
        assert (code, "stale" in out) == (1, True)
        server = await asyncio.create_subprocess_exec(sys.executable, str(LAB), str(port), cwd=ROOT)
        try:
            await wait_for_port(port)
            for _ in range(200):
                if "io.tollkeeper/outcomes" not in (await outcome())["_meta"]:
                    break
                await asyncio.sleep(0.05)
            assert (await gate.call(ALICE, "web__add", {"a": 1, "b": 1}))["result"]["structuredContent"] == {
                "result": 2
            }
        finally:
            server.kill()
            await server.wait()


async def test_a_stdio_child_sees_no_provider_key(tmp_path: Path) -> None:
    script = tmp_path / "environment.py"
    script.write_text("import os, sys; open(sys.argv[1], 'w').write('\\n'.join(sorted(os.environ)))")
    seen = tmp_path / "seen"
    yaml = f"""
    mcp_servers:
      spy: {{command: "{sys.executable}", args: ["{script}", "{seen}"], env: {{OWN: "1"}}}}
    """
    secrets = {"OPENAI_API_KEY": "sk-1", "ANTHROPIC_API_KEY": "sk-2", "AWS_SECRET_ACCESS_KEY": "x", "TOLLKEEPER_X": "y"}
    async with RunningGateway(yaml, tmp_path, secrets):
        await until(lambda: seen.exists() and "OWN" in seen.read_text())
    names = set(seen.read_text().split())
    assert names.isdisjoint(secrets)
    assert "PATH" in names


async def until(condition: Any) -> None:
    """Wait for something outside of this process, bounded."""
    for _ in range(600):
        if condition():
            return
        await asyncio.sleep(0.025)
    raise AssertionError("it did not happen")


async def until_rows(gate: RunningGateway, count: int) -> None:
    for _ in range(200):
        if len(await gate.rows()) >= count:
            return
        await asyncio.sleep(0.025)
    raise AssertionError("the rows did not come")


async def open_session(gate: RunningGateway, version: str) -> dict[str, str]:
    """Headers of a legacy session that has shaken hands."""
    headers = {
        "authorization": f"Bearer {ALICE}",
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
    }
    params = {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    first = await gate.http.post(
        "/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}, headers=headers
    )
    return {**headers, "mcp-session-id": first.headers["mcp-session-id"], "mcp-protocol-version": version}


async def test_a_batch_of_the_one_version_that_has_them_is_answered_as_one(gate: RunningGateway) -> None:
    session = await open_session(gate, "2025-03-26")
    call = {"name": "lab__echo", "arguments": {"text": "x"}}
    batch = [
        {"jsonrpc": "2.0", "id": "a", "method": "tools/call", "params": call},
        {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 99}},
        {"jsonrpc": "2.0", "id": 2, "method": "ping"},
        {"jsonrpc": "2.0", "id": 3, "method": "no/such"},
        {"jsonrpc": "2.0", "id": 4, "method": "tools/call", "params": {"name": "lab__progress", "arguments": {"steps": 2},
         "_meta": {"progressToken": 7}}},
        {"jsonrpc": "2.0", "id": 5, "method": "tools/call", "params": {"name": "lab__fail", "arguments": {}}},
    ]  # fmt: skip
    reply = await gate.http.post("/mcp", json=batch, headers=session)
    answers = {answer["id"]: answer for answer in reply.json()}
    assert set(answers) == {"a", 2, 3, 4, 5}
    assert answers["a"]["result"]["content"][0]["text"] == "x"
    assert answers[2]["result"] == {}
    assert answers[3]["error"]["code"] == -32601
    assert answers[4]["result"]["content"][0]["text"] == "done"
    assert answers[5]["error"]["code"] == -32602  # denied is unknown, in a batch too
    assert len(await gate.rows(kind="tool")) == 3
    only_notices = await gate.http.post("/mcp", json=batch[1:2], headers=session)
    assert (only_notices.status_code, only_notices.content) == (202, b"")


@pytest.mark.parametrize(
    ("version", "body"),
    [
        ("2025-06-18", [{"jsonrpc": "2.0", "id": 1, "method": "ping"}]),
        ("2025-03-26", []),
        ("2025-03-26", [{"jsonrpc": "2.0", "id": 1, "method": "ping"}] * 101),
        ("2025-03-26", [{"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {}}]),
        ("2025-03-26", [{"jsonrpc": "2.0", "id": 1, "method": "ping"}, 5]),
    ],
)
async def test_a_batch_that_is_not_one_is_refused_and_nothing_runs(
    gate: RunningGateway, version: str, body: Any
) -> None:
    session = await open_session(gate, version)
    reply = await gate.http.post("/mcp", json=body, headers=session)
    assert "error" in reply.json()
    assert await gate.rows() == []


async def test_log_messages_come_from_the_level_that_was_asked_for(gate: RunningGateway) -> None:
    def levels(text: str) -> list[str]:
        said = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]
        return [m["params"]["level"] for m in said if m.get("method") == "notifications/message"]

    for wanted, expected in (("debug", ["debug", "info", "warning", "error"]), ("warning", ["warning", "error"])):
        meta = {"io.modelcontextprotocol/logLevel": wanted}
        reply = await gate.mcp(ALICE, "tools/call", {"name": "web__narrate", "arguments": {}, "_meta": meta})
        assert levels(reply.text) == expected
    plain = await gate.mcp(ALICE, "tools/call", {"name": "web__narrate", "arguments": {}})
    assert plain.json()["result"]["content"][0]["text"] == "told"
    meta = {"io.modelcontextprotocol/logLevel": "loud"}
    wrong = await gate.mcp(ALICE, "tools/call", {"name": "web__narrate", "arguments": {}, "_meta": meta})
    assert wrong.json()["error"]["code"] == -32602
    session = await open_session(gate, "2025-11-25")
    for level, ok in (("error", True), ("loud", False)):
        body = {"jsonrpc": "2.0", "id": 2, "method": "logging/setLevel", "params": {"level": level}}
        reply = await gate.http.post("/mcp", json=body, headers=session)
        assert ("result" in reply.json()) is ok
