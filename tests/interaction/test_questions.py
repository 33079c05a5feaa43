"""Questions in the middle of a call: whose they are, what they cost, and what happens when nobody answers."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.interaction.era_features import person
from tests.peers.scripted_llm import ScriptedLLM
from tests.support.gateway import ROOT, RunningGateway
from tests.support.mcp_clients import ALL, LegacyClient, ModernClient, connect
from tests.support.services import python_server

pytestmark = pytest.mark.anyio

ALICE = "vk-alice-0123456789abcdef0123456789"
BOB = "vk-bob-0123456789abcdef012345678901"
EVERYTHING = ("-m", "tests.peers.everything_server")


def stdio(era: str) -> str:
    return f'command: "{sys.executable}", args: {[*EVERYTHING, era]}, env: {{PYTHONPATH: "{ROOT}"}}'


@pytest.fixture(scope="module")
async def shared_gate(
    shared_llm: ScriptedLLM, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RunningGateway]:
    async with python_server(*EVERYTHING, "modern") as port:
        yaml = f"""
    mcp: {{park_seconds: 2, max_parked_per_key: 2}}
    mcp_servers:
      old: {{{stdio("legacy")}, timeout: 5}}
      new: {{url: "http://127.0.0.1:{port}/mcp", timeout: 5}}
      mute: {{{stdio("legacy")}, interactive: never}}
      ours: {{{stdio("legacy")}, isolation: shared}}
      one: {{{stdio("legacy")}, interactive: serial, timeout: 1}}
    tool_prices: {{"*/test_elicitation": 0.001}}
    virtual_keys:
      - {{key_name: alice, key: {ALICE}, allowed_tools: ["*"]}}
      - {{key_name: bob, key: {BOB}, allowed_tools: ["*"]}}
      - {{key_name: few, key: vk-few-0123456789abcdef01234567890, allowed_tools: ["*"],
          rate_limit: {{request_limit: 1, request_limit_duration: 1h}}}}
    """
        async with RunningGateway(yaml, tmp_path_factory.mktemp("gate")) as running:
            yield running


@pytest.fixture
def gate(shared_gate: RunningGateway) -> RunningGateway:
    shared_gate.mark()
    return shared_gate


async def modern(gate: RunningGateway, key: str = ALICE, capabilities: object = None) -> ModernClient:
    client = await connect("modern", gate.http, key, "/mcp", capabilities)  # type: ignore[arg-type]
    assert isinstance(client, ModernClient)
    return client


ASK = {"name": "old__test_elicitation", "arguments": {"message": "Who?"}}


def retry(params: dict[str, object], result: dict[str, object], **answers: object) -> dict[str, object]:
    given = answers or {name: {"action": "decline"} for name in result.get("inputRequests", {})}  # type: ignore[attr-defined]
    return {**params, "inputResponses": given, "requestState": result["requestState"]}


@pytest.mark.parametrize("server", ["old", "new"])
async def test_another_key_cannot_answer_and_learns_nothing(gate: RunningGateway, server: str) -> None:
    ask = {**ASK, "name": f"{server}__test_elicitation"}
    alice, bob = await modern(gate), await modern(gate, BOB)
    asked = (await alice.request("tools/call", ask)).result
    stolen = (await bob.request("tools/call", retry(ask, asked))).error
    forged = (await bob.request("tools/call", {**retry(ask, asked), "requestState": "forged"})).error
    assert stolen == forged
    assert (stolen["code"], stolen["data"]["code"]) == (-32602, "invalid_request_state")
    assert (await alice.request("tools/call", retry(ask, asked))).text.startswith("User response: action=decline")


@pytest.mark.parametrize("server", ["old", "new"])
async def test_a_state_belongs_to_its_tool_and_its_arguments(gate: RunningGateway, server: str) -> None:
    alice = await modern(gate)
    ask = {"name": f"{server}__test_elicitation", "arguments": {"message": "Pay 1?"}}
    asked = (await alice.request("tools/call", ask)).result
    dearer = {**ask, "arguments": {"message": "Pay 1000?"}}
    assert (await alice.request("tools/call", retry(dearer, asked))).error["code"] == -32602
    other = {**ask, "name": f"{server}__test_input_required_result_elicitation"}
    assert (await alice.request("tools/call", retry(other, asked))).error["code"] == -32602
    assert (await alice.request("tools/call", retry(ask, asked))).result["content"]


async def test_a_parked_call_that_nobody_comes_for_ends_and_is_on_the_ledger(gate: RunningGateway) -> None:
    alice = await modern(gate)
    asked = (await alice.request("tools/call", ASK)).result
    while not (rows := await gate.rows()):
        await asyncio.sleep(0.1)
    assert [(row["outcome"], row["code"]) for row in rows] == [("cancelled", "cancelled")]
    late = (await alice.request("tools/call", retry(ASK, asked))).error
    assert late["data"]["code"] == "invalid_request_state"


async def test_only_so_many_calls_of_one_key_may_wait_and_another_key_has_its_own(gate: RunningGateway) -> None:
    alice, bob = await modern(gate), await modern(gate, BOB)
    # One connection takes one such call at a time, so each waits at a server of its own.
    parked = [
        (await alice.request("tools/call", {**ASK, "name": f"{s}__test_elicitation"})).result for s in ("old", "one")
    ]
    assert all(p["resultType"] == "input_required" for p in parked)
    one = {**ASK, "name": "one__test_elicitation"}
    assert (await bob.request("tools/call", one)).result["resultType"] == "input_required"
    for name, result in zip(("old", "one"), parked, strict=True):
        ask = {**ASK, "name": f"{name}__test_elicitation"}
        assert "decline" in (await alice.request("tools/call", retry(ask, result))).text


async def test_a_call_of_two_rounds_is_metered_once_and_paid_once(gate: RunningGateway) -> None:
    for server in ("old", "new"):
        gate.mark()
        alice = await modern(gate)
        told = await alice.request("tools/call", {**ASK, "name": f"{server}__test_elicitation"}, person)
        assert "accept" in told.text
        rows = await gate.rows()
        assert sum(row["cost_nano"] for row in rows) == 1_000_000
        assert [row["outcome"] for row in rows] == ["ok"] * len(rows)
        assert [row["stop_reason"] for row in rows] == ([None] if server == "old" else ["input_required", None])


async def test_a_state_that_comes_twice_is_counted_like_a_new_call(gate: RunningGateway) -> None:
    few = await modern(gate, "vk-few-0123456789abcdef01234567890")
    ask = {**ASK, "name": "new__test_elicitation"}
    asked = (await few.request("tools/call", ask)).result
    assert "decline" in (await few.request("tools/call", retry(ask, asked))).text
    again = (await few.request("tools/call", retry(ask, asked))).result
    assert again["isError"] is True
    assert again["_meta"]["io.tollkeeper/refusal"]["code"] == "rate_limited"


async def test_a_client_that_declares_nothing_is_never_asked(gate: RunningGateway) -> None:
    plain = await modern(gate, capabilities={})
    said = json.loads((await plain.request("tools/call", {"name": "old__whoami", "arguments": {}})).text)
    assert said["capabilities"] == {}
    refused = (await plain.request("tools/call", ASK, person)).error
    assert refused["code"] == -32021
    assert refused["data"]["requiredCapabilities"] == {"elicitation": {}}


async def test_a_client_that_can_fill_in_forms_is_not_sent_to_addresses(gate: RunningGateway) -> None:
    forms = await modern(gate, capabilities={"elicitation": {}})
    said = json.loads((await forms.request("tools/call", {"name": "old__whoami", "arguments": {}})).text)
    assert said["capabilities"] == {"elicitation": {"form": {}}}
    visit = {"name": "old__visit", "arguments": {"url": "https://example.com/"}}
    assert (await forms.request("tools/call", visit, person)).error["code"] == -32021
    assert "accept" in (await forms.request("tools/call", ASK, person)).text


async def test_clients_of_different_abilities_get_sessions_of_their_own(gate: RunningGateway) -> None:
    able, plain = await modern(gate), await modern(gate, capabilities={})
    who = {"name": "old__whoami", "arguments": {}}
    first, second = [json.loads((await c.request("tools/call", who)).text) for c in (able, plain)]
    bobs = json.loads((await (await modern(gate, BOB)).request("tools/call", who)).text)
    assert len({first["pid"], second["pid"], bobs["pid"]}) == 3
    assert json.loads((await able.request("tools/call", who)).text)["pid"] == first["pid"]


@pytest.mark.parametrize("server", ["mute", "ours"])
async def test_a_server_whose_questions_would_have_no_owner_declares_nothing(gate: RunningGateway, server: str) -> None:
    alice = await modern(gate)
    who = {"name": f"{server}__whoami", "arguments": {}}
    assert json.loads((await alice.request("tools/call", who)).text)["capabilities"] == {}


async def test_roots_do_not_reach_a_program_on_the_gates_own_machine(gate: RunningGateway) -> None:
    alice = await modern(gate)
    ask = {"name": "old__test_input_required_result_list_roots", "arguments": {}}
    told = await alice.request("tools/call", ask, person)
    assert told.asked == []
    assert told.error["code"] == -32021


async def test_a_question_with_several_calls_in_flight_waits_until_its_call_is_known(gate: RunningGateway) -> None:
    """Two calls on one connection, one asks: the other one's answer tells whose the question is."""
    able = {"elicitation": {"form": {}}, "sampling": {}}  # a connection that was never asked on
    carol = await connect("legacy", gate.http, ALICE, "/mcp/old", able)
    assert isinstance(carol, LegacyClient)
    asked: list[str] = []

    def answer(method: str, params: dict[str, object]) -> dict[str, object]:
        asked.append(str(params["message"]))
        return {"action": "accept", "content": {"name": "Ann"}}

    together = {"name": "ask_together", "arguments": {"count": 2, "who": ""}}
    asking = {"name": "ask_together", "arguments": {"count": 2, "who": "asker"}}
    silent = await connect("legacy", gate.http, ALICE, "/mcp/old", able)
    quiet, told = await asyncio.gather(
        silent.request("tools/call", together), carol.request("tools/call", asking, answer)
    )
    assert quiet.text == "nothing asked"
    assert told.text == "asker is Ann"
    assert asked == ["Who are you, asker?"]


async def test_a_connection_that_asks_serves_one_such_call_at_a_time(gate: RunningGateway) -> None:
    alice = await modern(gate)
    ask = {**ASK, "name": "one__test_elicitation"}
    asked = (await alice.request("tools/call", ask)).result
    busy = (await alice.request("tools/call", {"name": "one__test_simple_text", "arguments": {}})).result
    assert busy["_meta"]["io.tollkeeper/fault"]["code"] == "member_busy"
    plain = await modern(gate, capabilities={})
    assert (await plain.request("tools/call", {"name": "one__test_simple_text", "arguments": {}})).result["content"]
    assert "decline" in (await alice.request("tools/call", retry(ask, asked))).text
    assert (await alice.request("tools/call", {"name": "one__test_simple_text", "arguments": {}})).result["content"]


async def test_a_legacy_client_cannot_answer_another_keys_question(gate: RunningGateway) -> None:
    alice = await connect("legacy", gate.http, ALICE, "/mcp", ALL)
    bob = await connect("legacy", gate.http, BOB, "/mcp", ALL)
    assert isinstance(alice, LegacyClient)
    assert isinstance(bob, LegacyClient)
    heard: asyncio.Queue[str] = asyncio.Queue()
    answered = asyncio.Event()

    async def ask() -> str:
        body = {"jsonrpc": "2.0", "id": 9, "method": "tools/call", "params": ASK}
        async with gate.http.stream("POST", "/mcp", json=body, headers=alice.headers) as stream:
            async for line in stream.aiter_lines():
                if line.startswith("data:"):
                    message = json.loads(line[5:])
                    if "result" in message:
                        return str(message["result"]["content"][0]["text"])
                    heard.put_nowait(message["id"])
        raise AssertionError

    call = asyncio.create_task(ask())
    question = await heard.get()
    # Bob knows the id, and even Alice's session id: neither is a credential.
    await bob.say({"id": question, "result": {"action": "accept", "content": {"username": "bob"}}})
    headers = {**bob.headers, "mcp-session-id": alice.session}
    body = {"jsonrpc": "2.0", "id": question, "result": {"action": "accept"}}
    assert (await gate.http.post("/mcp", json=body, headers=headers)).status_code == 404
    await alice.say({"id": question, "result": {"action": "decline"}})
    answered.set()
    assert (await call).startswith("User response: action=decline")


async def test_a_revoked_grant_ends_a_call_that_waits(tmp_path: Path) -> None:
    yaml = f"""
    mcp_servers: {{old: {{{stdio("legacy")}}}}}
    virtual_keys: [{{key_name: alice, key: {ALICE}, allowed_tools: [PATTERN]}}]
    """
    async with RunningGateway(yaml.replace("PATTERN", '"old/*"'), tmp_path) as gate:
        alice = await modern(gate)
        asked = (await alice.request("tools/call", ASK)).result
        gate.config.write_text(gate.config.read_text().replace('"old/*"', '"old/echo"'))
        gate.process.send_signal(signal.SIGHUP)
        while "configuration_reloaded" not in gate.log.read_text():
            await asyncio.sleep(0.05)
        refused = (await alice.request("tools/call", retry(ASK, asked))).error
        assert refused["message"] == "Unknown tool: old__test_elicitation"


async def test_the_gate_answers_sampling_with_its_own_model_on_the_callers_account(
    llm: ScriptedLLM, tmp_path: Path
) -> None:
    yaml = f"""
    providers:
      - {{name: openai, api_key: sk-o, base_url: "{llm.base}/v1", allowed_models: ["gpt-*"]}}
      - {{name: anthropic, api_key: sk-a, base_url: "{llm.base}", allowed_models: ["claude-*"]}}
    mcp: {{sampling: gateway, sampling_model: MODEL}}
    mcp_servers: {{old: {{{stdio("legacy")}}}, new: {{{stdio("modern")}}}}}
    virtual_keys:
      - {{key_name: alice, key: {ALICE}, allowed_tools: ["*"], allowed_models: ["gpt-4o", "claude-sonnet-4-5"]}}
      - {{key_name: bob, key: {BOB}, allowed_tools: ["*"]}}
      - {{key_name: poor, key: vk-poor-0123456789abcdef0123456789, allowed_tools: ["*"], enforcement: strict,
          budget_limit: 0.000001, budget_duration: 1d}}
    """
    for model in ("gpt-4o", "claude-sonnet-4-5"):
        directory = tmp_path / model
        directory.mkdir()
        async with RunningGateway(yaml.replace("MODEL", model), directory) as gate:
            for server in ("old", "new"):
                gate.mark()
                ask = {"name": f"{server}__test_sampling", "arguments": {"prompt": "Hello?"}}
                alice = await modern(gate, capabilities={})
                told = await alice.request("tools/call", ask)
                assert told.text == f"LLM response: {llm.text}"
                rows = {row["kind"]: row for row in await gate.rows()}
                assert rows["model"]["origin"] == "sampling"
                assert rows["model"]["parent"] == rows["tool"]["call_id"]
                assert rows["model"]["cost_nano"] > 0
            # The operator's choice of the model admits; the caller pays.
            bob = await modern(gate, BOB, capabilities={})
            assert (await bob.request("tools/call", ask)).text == f"LLM response: {llm.text}"
            body = {"model": model, "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}
            path = "/v1/chat/completions" if model == "gpt-4o" else "/anthropic/v1/messages"
            own = await gate.http.post(path, json=body, headers={"authorization": f"Bearer {BOB}"})
            assert own.status_code == 403
            poor = await modern(gate, "vk-poor-0123456789abcdef0123456789", capabilities={})
            refused = await poor.request("tools/call", ask)
            assert "error" in refused.answer or refused.result.get("isError")


async def test_the_answer_to_a_withdrawn_question_is_ignored_and_the_client_is_told(gate: RunningGateway) -> None:
    """The member is gone while its question is open: the client's dialogue is taken back, the call fails."""
    alice = await connect("legacy", gate.http, ALICE, "/mcp", ALL)
    assert isinstance(alice, LegacyClient)
    seen: list[dict[str, object]] = []
    body = {"jsonrpc": "2.0", "id": 9, "method": "tools/call", "params": {**ASK, "name": "one__test_elicitation"}}
    async with gate.http.stream("POST", "/mcp", json=body, headers=alice.headers) as stream:
        async for line in stream.aiter_lines():
            if line.startswith("data:"):
                seen.append(json.loads(line[5:]))
                if seen[-1].get("method") == "elicitation/create":
                    cancelled = {"requestId": 9, "reason": "changed my mind"}
                    await alice.say({"method": "notifications/cancelled", "params": cancelled})
    question = seen[0]
    assert {"method": "notifications/cancelled", "params": {"requestId": question["id"]}}.items() <= seen[1].items()
    await alice.say({"id": question["id"], "result": {"action": "accept"}})


async def test_lists_are_read_by_pages_that_belong_to_their_key(tmp_path: Path) -> None:
    yaml = f"""
    mcp: {{page_size: 7}}
    mcp_servers: {{old: {{{stdio("legacy")}, aliases: [former], prefix: o}}}}
    virtual_keys:
      - {{key_name: alice, key: {ALICE}, allowed_tools: ["*"]}}
      - {{key_name: bob, key: {BOB}, allowed_tools: ["old/*"]}}
    """
    async with RunningGateway(yaml, tmp_path) as gate:
        whole: dict[str, set[str]] = {}
        for era in ("modern", "legacy"):
            client = await connect(era, gate.http, ALICE, "/mcp")
            names: list[str] = []
            result = (await client.request("tools/list", {})).result
            names += [tool["name"] for tool in result["tools"]]
            while "nextCursor" in result:
                assert len(result["tools"]) == 7
                cursor = result["nextCursor"]
                result = (await client.request("tools/list", {"cursor": cursor})).result
                names += [tool["name"] for tool in result["tools"]]
            assert len(names) == len(set(names)) > 14
            whole[era] = set(names)
        assert whole["modern"] == whole["legacy"]
        for key, path in ((BOB, "/mcp"), (ALICE, "/mcp/old")):
            other = await connect("modern", gate.http, key, path)
            assert (await other.request("tools/list", {"cursor": cursor})).error["message"] == "Invalid cursor"
        alice = await connect("modern", gate.http, ALICE, "/mcp")
        assert (await alice.request("prompts/list", {"cursor": cursor})).error["code"] == -32602
        renamed = {"name": "former__test_simple_text", "arguments": {}}
        assert (await alice.request("tools/call", renamed)).result["content"]
        assert not any(name.startswith("former__") for name in whole["modern"])


async def test_resources_of_one_uri_are_told_apart_and_watched_apart(tmp_path: Path) -> None:
    yaml = f"""
    mcp_servers: {{first: {{{stdio("legacy")}}}, second: {{{stdio("modern")}}}}}
    virtual_keys:
      - {{key_name: alice, key: {ALICE}, allowed_tools: ["*"]}}
      - {{key_name: bob, key: {BOB}, allowed_tools: ["second/*"]}}
    """
    async with RunningGateway(yaml, tmp_path) as gate:
        alice = await connect("modern", gate.http, ALICE)
        uris = [r["uri"] for r in (await alice.request("resources/list", {})).result["resources"]]
        wrapped = "tollkeeper:second/test://static-text"
        assert {"test://static-text", wrapped} <= set(uris)
        for uri in ("test://static-text", wrapped, "tollkeeper:second/test://template/5/data"):
            (content,) = (await alice.request("resources/read", {"uri": uri})).result["contents"]
            assert content["uri"] == uri
        bob = await connect("modern", gate.http, BOB)
        assert (await bob.request("resources/read", {"uri": wrapped})).error["code"] == -32602
        assert (await bob.request("resources/read", {"uri": "test://static-text"})).result["contents"]
        # Links that were handed to Alice are not Bob's.
        await alice.request("tools/call", {"name": "first__link", "arguments": {}})
        assert (await alice.request("resources/read", {"uri": "test://linked/only"})).result["contents"]
        assert (await bob.request("resources/read", {"uri": "test://linked/only"})).error["code"] == -32602


async def test_a_key_cannot_listen_to_what_it_may_not_read(gate: RunningGateway) -> None:
    plain = await modern(gate)
    wanted = {"resourceSubscriptions": ["test://watched-resource", "file:///etc/passwd"], "toolsListChanged": True}
    body, headers = plain.parts("subscriptions/listen", {"notifications": wanted})
    async with gate.http.stream("POST", "/mcp", json=body, headers=headers) as stream:
        async for line in stream.aiter_lines():
            if line.startswith("data:"):
                acknowledged = json.loads(line[5:])["params"]["notifications"]
                break
    assert acknowledged == {"toolsListChanged": True, "resourceSubscriptions": ["test://watched-resource"]}
    old = await connect("legacy", gate.http, ALICE, "/mcp")
    refused = (await old.request("resources/subscribe", {"uri": "file:///etc/passwd"})).error
    assert refused["code"] == -32002


async def test_a_modern_client_that_leaves_after_its_answer_cancels_the_call(gate: RunningGateway) -> None:
    alice = await modern(gate)
    ask = {"name": "old__test_input_required_result_multi_round", "arguments": {}}
    first = (await alice.request("tools/call", ask)).result
    answers = {"step1": {"action": "accept", "content": {"name": "Ann"}}}
    second = (await alice.request("tools/call", retry(ask, first, **answers))).result
    assert set(second["inputRequests"]) == {"step2"}
    assert second["requestState"] != first["requestState"]
    old = (await alice.request("tools/call", retry(ask, first, **answers))).error
    assert old["data"]["code"] == "invalid_request_state"
    partial = (await alice.request("tools/call", retry(ask, second, other={"action": "accept"}))).result
    assert set(partial["inputRequests"]) == {"step2"}
    done = await alice.request(
        "tools/call", retry(ask, partial, step2={"action": "accept", "content": {"color": "red"}})
    )
    assert done.text == "Ann likes red"


async def test_an_unauthenticated_client_that_probes_is_told_how(gate: RunningGateway) -> None:
    async with httpx.AsyncClient(base_url=gate.address, trust_env=False) as stranger:
        refused = await stranger.post("/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "ping"})
        assert refused.status_code == 401
        named = re.fullmatch(
            r'Bearer realm="tollkeeper", resource_metadata="(.*)"', refused.headers["www-authenticate"]
        )
        assert named is not None
        metadata = (await stranger.get(named[1])).json()
        assert (metadata["resource"], "authorization_servers" in metadata) == (f"{gate.address}/mcp", False)
        assert (await stranger.get("/.well-known/oauth-protected-resource/admin")).status_code == 404
        for path in ("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"):
            absent = await stranger.get(path)
            assert (absent.status_code, absent.json()["error"]["code"]) == (404, "unknown_route")
        register = await stranger.post("/register", json={"client_name": "x"})
        assert register.status_code == 404
        assert "key" in register.json()["error_description"]


async def test_with_refuse_a_server_cannot_sample_and_one_tool_may_have_a_timeout_of_its_own(tmp_path: Path) -> None:
    yaml = f"""
    mcp: {{sampling: refuse}}
    mcp_servers: {{old: {{{stdio("legacy")}, timeout: 60, tool_timeouts: {{"for*": 0.2}}}}}}
    virtual_keys: [{{key_name: alice, key: {ALICE}, allowed_tools: ["*"]}}]
    """
    async with RunningGateway(yaml, tmp_path) as gate:
        alice = await modern(gate)
        said = json.loads((await alice.request("tools/call", {"name": "old__whoami", "arguments": {}})).text)
        assert "sampling" not in said["capabilities"]
        never = {"name": "old__forever", "arguments": {"path": str(tmp_path / "f")}}
        late = (await alice.request("tools/call", never)).result
        assert late["_meta"]["io.tollkeeper/fault"]["code"] == "member_timeout"
        assert "0.2 seconds" in late["content"][0]["text"]


async def test_deeply_nested_arguments_are_an_answer_not_a_crash(gate: RunningGateway) -> None:
    alice = await modern(gate)
    deep = json.loads("[" * 400 + "]" * 400)
    ask = {"name": "old__test_elicitation", "arguments": {"message": "Who?", "deep": deep}}
    asked = (await alice.request("tools/call", ask)).result
    assert "decline" in (await alice.request("tools/call", retry(ask, asked))).text
    body, headers = alice.parts("tools/call", {**ask, "requestState": "x"})
    sent = json.dumps(body).replace(json.dumps(deep), "[" * 50_000 + "]" * 50_000)
    answer = await gate.http.post("/mcp", content=sent, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] in (-32700, -32602, -32600)


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_the_streams_of_a_revoked_key_end(gate: RunningGateway, era: str) -> None:
    made = (await gate.admin("POST", "/api/keys", json={"name": f"temp-{era}", "allowed_tools": ["*"]})).json()
    client = await connect(era, gate.http, made["key"], "/mcp")
    bystander = await connect(era, gate.http, ALICE, "/mcp")
    async with bystander.notices([]) as heard:
        if isinstance(client, ModernClient):
            body, headers = client.parts("subscriptions/listen", {"notifications": {"toolsListChanged": True}})
            stream = gate.http.stream("POST", "/mcp", json=body, headers=headers)
        else:
            stream = gate.http.stream("GET", "/mcp", headers=client.headers)
        async with stream as opened:
            assert opened.status_code == 200
            assert (await gate.admin("DELETE", f"/api/keys/temp-{era}")).status_code == 200
            async for _ in opened.aiter_lines():
                pass  # to the end, which comes
        await bystander.request("tools/call", {"name": "old__test_trigger_tool_change", "arguments": {}})
        assert (await heard.get())["method"] == "notifications/tools/list_changed"


async def test_a_client_hears_that_its_visit_is_over_and_other_keys_do_not(gate: RunningGateway) -> None:
    """2025-11-25: the server says when an elicitation by URL is complete, outside of any call."""
    alice = await connect("legacy", gate.http, ALICE, "/mcp", ALL)
    bob = await connect("legacy", gate.http, BOB, "/mcp", ALL)
    async with alice.notices([]) as heard, bob.notices([]) as others:
        visit = {"name": "old__visit", "arguments": {"url": "https://example.com/"}}
        assert (await alice.request("tools/call", visit, person)).text == "visited: accept"
        notice = await heard.get()
        assert (notice["method"], notice["params"]) == ("notifications/elicitation/complete", {"elicitationId": "e-1"})
        await bob.request("tools/call", {"name": "old__whoami", "arguments": {}})
        assert others.empty()


async def test_a_question_whose_client_lost_its_stream_holds_up_nobody(gate: RunningGateway) -> None:
    alice = await connect("legacy", gate.http, ALICE, "/mcp", ALL)
    assert isinstance(alice, LegacyClient)
    body = {"jsonrpc": "2.0", "id": 9, "method": "tools/call", "params": {**ASK, "name": "one__test_elicitation"}}
    async with gate.http.stream("POST", "/mcp", json=body, headers=alice.headers) as stream:
        async for line in stream.aiter_lines():
            if line.startswith("data:"):
                break
    # The call went on without its client: the user has cancelled, as far as the server is concerned.
    again = await connect("legacy", gate.http, ALICE, "/mcp", ALL)
    simple = {"name": "one__test_simple_text", "arguments": {}}
    while (await again.request("tools/call", simple)).result.get("isError"):
        await asyncio.sleep(0.05)
    rows = [row for row in await gate.rows() if row["target"] == "one/test_elicitation"]
    assert [(row["outcome"], row["code"]) for row in rows] == [("ok", None)]


async def test_an_older_client_reads_what_a_modern_server_misses_as_a_failed_tool(gate: RunningGateway) -> None:
    plain = await connect("legacy", gate.http, ALICE, "/mcp", {})
    told = await plain.request("tools/call", {"name": "new__test_missing_capability", "arguments": {}})
    assert told.result["isError"] is True
    assert told.text == "This tool needs sampling"


async def test_a_key_completes_only_what_it_may_see(tmp_path: Path) -> None:
    yaml = f"""
    mcp_servers: {{old: {{{stdio("legacy")}}}}}
    virtual_keys:
      - {{key_name: alice, key: {ALICE}, allowed_tools: ["*"]}}
      - {{key_name: bob, key: {BOB}, allowed_tools: ["old/test_simple_text"]}}
    """
    async with RunningGateway(yaml, tmp_path) as gate:
        prompt = {"type": "ref/prompt", "name": "old__test_prompt_with_arguments"}
        template = {"type": "ref/resource", "uri": "test://template/{id}/data"}
        for era in ("modern", "legacy"):
            alice, bob = [await connect(era, gate.http, key) for key in (ALICE, BOB)]
            for ref in (prompt, template):
                asked = {"ref": ref, "argument": {"name": "x", "value": "par"}}
                found = (await alice.request("completion/complete", asked)).result["completion"]["values"]
                assert found == ["paris", "park"]
                denied = (await bob.request("completion/complete", asked)).error
                nothing = {**asked, "ref": {**ref, **({"name": "no"} if "name" in ref else {"uri": "no://{x}"})}}
                unknown = (await bob.request("completion/complete", nothing)).error
                assert denied["code"] == unknown["code"] == -32602
