"""What must work between a client and a member of any era: one function per feature, run in every cell by
``test_era_cells.py``; the table in docs/eras.md is made of the same list.

A function either proves the feature or returns the name of the refusal that the cell gives instead.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.mcp_clients import Json, LegacyClient, ModernClient

WATCHED = "test://watched-resource"


@dataclass(frozen=True)
class Cell:
    """A client of one era before a member of one era and transport."""

    client: ModernClient | LegacyClient
    client_era: str
    member_era: str
    transport: str
    scratch: Path

    async def call(self, tool: str, answer: Any = None, **arguments: Any) -> Any:
        return await self.client.request("tools/call", {"name": tool, "arguments": arguments}, answer)


def person(method: str, params: Json) -> Json:
    """Answers whatever is asked."""
    if method == "sampling/createMessage":
        said = params["messages"][0]["content"]["text"]
        content = {"type": "text", "text": f"sampled: {said}"}
        return {"role": "assistant", "content": content, "model": "m", "stopReason": "endTurn"}
    if method == "roots/list":
        return {"roots": [{"uri": "file:///home/alice"}]}
    if params.get("mode") == "url":
        return {"action": "accept"}
    fields = params["requestedSchema"]["properties"]
    return {"action": "accept", "content": {name: f"my {name}" for name in fields}}


Feature = Callable[[Cell], Awaitable[str | None]]
FEATURES: dict[str, Feature] = {}


def feature(name: str) -> Callable[[Feature], Feature]:
    def add(function: Feature) -> Feature:
        FEATURES[name] = function
        return function

    return add


@feature("tools: list and call")
async def tools(cell: Cell) -> None:
    listed = (await cell.client.request("tools/list", {})).result["tools"]
    assert {"test_simple_text", "regional", "json_schema_2020_12_tool"} <= {tool["name"] for tool in listed}
    assert (await cell.call("test_simple_text")).text == "This is a simple text response for testing."
    assert (await cell.call("test_error_handling")).result["isError"] is True


@feature("arguments mirrored in headers")
async def mirrored(cell: Cell) -> None:
    params = {"name": "regional", "arguments": {"region": "zürich"}}
    if isinstance(cell.client, LegacyClient):
        assert "error" not in (await cell.client.request("tools/call", params)).answer
        return
    body, headers = cell.client.parts("tools/call", params)
    refused = await cell.client.http.post(cell.client.path, json=body, headers=headers)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, -32020)
    headers["mcp-param-region"] = "=?base64?esO8cmljaA==?="
    assert "result" in (await cell.client.http.post(cell.client.path, json=body, headers=headers)).json()


@feature("resources and templates: list and read")
async def resources(cell: Cell) -> None:
    listed = (await cell.client.request("resources/list", {})).result["resources"]
    assert WATCHED in {resource["uri"] for resource in listed}
    templates = (await cell.client.request("resources/templates/list", {})).result["resourceTemplates"]
    assert templates[0]["uriTemplate"] == "test://template/{id}/data"
    read = (await cell.client.request("resources/read", {"uri": "test://template/7/data"})).result
    assert json.loads(read["contents"][0]["text"])["id"] == "7"
    missing = (await cell.client.request("resources/read", {"uri": "test://template/7/nothing"})).error
    assert missing["code"] == (-32602 if cell.client_era == "modern" else -32002)


@feature("a link that no list names, read after it was handed out")
async def linked(cell: Cell) -> None:
    (found,) = (await cell.call("link")).result["content"]
    read = (await cell.client.request("resources/read", {"uri": found["uri"]})).result
    assert read["contents"][0]["uri"] == found["uri"]


@feature("prompts: list and get")
async def prompts(cell: Cell) -> None:
    listed = (await cell.client.request("prompts/list", {})).result["prompts"]
    assert "test_simple_prompt" in {prompt["name"] for prompt in listed}
    arguments = {"arg1": "a", "arg2": "b"}
    got = await cell.client.request("prompts/get", {"name": "test_prompt_with_arguments", "arguments": arguments})
    assert got.text == "Prompt with arguments: arg1='a', arg2='b'"


@feature("completion")
async def completion(cell: Cell) -> None:
    ref = {"type": "ref/prompt", "name": "test_prompt_with_arguments"}
    params = {"ref": ref, "argument": {"name": "arg1", "value": "par"}}
    assert (await cell.client.request("completion/complete", params)).result["completion"]["values"] == [
        "paris",
        "park",
    ]


@feature("log messages, from the level asked for")
async def logging(cell: Cell) -> None:
    silent = await cell.call("test_logging_tool") if cell.client_era == "modern" else None
    assert silent is None or silent.before == []
    if isinstance(cell.client, ModernClient):
        cell.client.log_level = "info"
    else:
        assert (await cell.client.request("logging/setLevel", {"level": "info"})).result == {}
    told = await cell.call("test_tool_with_logging")
    assert [m["params"]["data"] for m in told.before][:1] == ["Tool execution started"]
    if isinstance(cell.client, ModernClient):
        cell.client.log_level = "error"
    else:
        await cell.client.request("logging/setLevel", {"level": "error"})
    assert (await cell.call("test_tool_with_logging")).before == []
    if isinstance(cell.client, ModernClient):
        cell.client.log_level = None


@feature("progress, with the client's own token")
async def progress(cell: Cell) -> None:
    params = {"name": "test_tool_with_progress", "arguments": {}, "_meta": {"progressToken": "mine"}}
    told = await cell.client.request("tools/call", params)
    seen = [(m["params"]["progressToken"], m["params"]["progress"]) for m in told.before]
    assert seen == [("mine", 0), ("mine", 50), ("mine", 100)]


@feature("cancellation of exactly one call")
async def cancellation(cell: Cell) -> None:
    cancelled, other = cell.scratch / "cancelled", cell.scratch / "other"
    bystander = asyncio.create_task(cell.call("forever", path=str(other)))
    await _written(other, "began\n")
    first = cell.client.last_id

    async def started() -> None:
        await _written(cancelled, "began\n")

    params = {"name": "forever", "arguments": {"path": str(cancelled)}}
    await cell.client.cancel_in_flight("tools/call", params, started)
    await _written(cancelled, "began\ncancelled\n")
    assert other.read_text() == "began\n"
    bystander.cancel()
    if isinstance(cell.client, LegacyClient):
        await cell.client.say({"method": "notifications/cancelled", "params": {"requestId": first}})
    await _written(other, "began\ncancelled\n")


@feature("elicitation by form")
async def elicitation(cell: Cell) -> None:
    told = await cell.call("test_elicitation", person, message="Who?")
    assert told.text.startswith("User response: action=accept")
    assert "my username" in told.text
    (question,) = told.asked
    params = question["params"]
    assert set(params["requestedSchema"]["properties"]) == {"username", "email"}
    assert params["message"] == "[every] Who?"


@feature("elicitation by URL")
async def elicitation_url(cell: Cell) -> None:
    told = await cell.call("visit", person, url="https://example.com/sign-in")
    assert told.text == "visited: accept"
    (question,) = told.asked
    assert question["params"]["url"] == "https://example.com/sign-in"


@feature("a URL that is no web address is not passed on")
async def elicitation_bad_url(cell: Cell) -> None:
    told = await cell.call("visit", person, url="javascript:alert(1)")
    assert told.asked == []
    assert "result" not in told.answer or told.result.get("isError") or "accept" not in told.text


@feature("addresses to be visited first (`-32042` of 2025-11-25)")
async def url_required(cell: Cell) -> str | None:
    told = await cell.call("url_required", person)
    if cell.member_era == "modern" or cell.client_era == "legacy":
        if "error" in told.answer:
            assert told.error["code"] == -32042
            assert told.error["data"]["elicitations"][0]["url"] == "https://example.com/in"
            assert (await cell.call("url_required", person)).text == "signed in"
        return "the member's error passes" if cell.client_era == "legacy" else "–"
    assert told.text == "signed in"
    return None


@feature("sampling, answered by the client")
async def sampling(cell: Cell) -> None:
    told = await cell.call("test_sampling", person, prompt="Hello?")
    assert told.text == "LLM response: sampled: Hello?"


@feature("roots")
async def roots(cell: Cell) -> None:
    told = await cell.call("test_input_required_result_list_roots", person)
    assert told.text == "file:///home/alice"


@feature("several questions at once")
async def several(cell: Cell) -> None:
    told = await cell.call("test_input_required_result_multiple_inputs", person)
    assert told.text == "my name: sampled: Generate a greeting"
    assert len(told.asked) == 3


@feature("several rounds of questions")
async def rounds(cell: Cell) -> None:
    told = await cell.call("test_input_required_result_multi_round", person)
    assert told.text == "my name likes my color"
    assert len(told.asked) == 2


@feature("a question in a prompt")
async def prompt_asks(cell: Cell) -> None:
    told = await cell.client.request("prompts/get", {"name": "test_input_required_result_prompt"}, person)
    assert told.text == "my context"


@feature("a user who declines")
async def declined(cell: Cell) -> None:
    told = await cell.call("test_elicitation", lambda *_: {"action": "decline"}, message="Who?")
    assert told.text.startswith("User response: action=decline")


@feature("resource subscriptions")
async def subscriptions(cell: Cell) -> None:
    async with cell.client.notices([WATCHED]) as heard:
        # The subscription is made in the background: touch until it is there.
        while heard.empty():
            await cell.call("touch")
            await asyncio.sleep(0.05)
        notice = await heard.get()
        assert (notice["method"], notice["params"]["uri"]) == ("notifications/resources/updated", WATCHED)


@feature("lists that change")
async def list_changed(cell: Cell) -> None:
    async with cell.client.notices([]) as heard:
        before = await _tool_names(cell)
        await cell.call("test_trigger_tool_change")
        notice = await asyncio.wait_for(heard.get(), 20)
        assert notice["method"] == "notifications/tools/list_changed"
        assert await _tool_names(cell) ^ before == {"appearing_tool"}


@feature("cache hints")
async def hints(cell: Cell) -> None:
    for method, params in (("tools/list", {}), ("resources/read", {"uri": "test://static-text"})):
        result = (await cell.client.request(method, params)).result
        if cell.client_era == "modern":
            assert (result["resultType"], result["cacheScope"]) == ("complete", "private")
            assert isinstance(result["ttlMs"], int)
        else:
            assert not {"resultType", "cacheScope", "ttlMs"} & set(result)


@feature("`_meta` and trace context")
async def meta(cell: Cell) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    params = {"name": "whoami", "arguments": {}, "_meta": {"traceparent": trace, "example.com/own": {"x": [1.50]}}}
    said = json.loads((await cell.client.request("tools/call", params)).text)
    assert said["meta"] == {"traceparent": trace, "example.com/own": {"x": [1.5]}}


@feature("capabilities are the caller's own")
async def capabilities(cell: Cell) -> None:
    said = json.loads((await cell.call("whoami")).text)
    assert said["capabilities"] == {"elicitation": {"form": {}, "url": {}}, "sampling": {}, "roots": {}}


async def _tool_names(cell: Cell) -> set[str]:
    return {tool["name"] for tool in (await cell.client.request("tools/list", {})).result["tools"]}


async def _written(path: Path, text: str) -> None:
    """Wait until a member has written this; the test's own timeout bounds it."""
    while not path.exists() or path.read_text() != text:
        await asyncio.sleep(0.02)
