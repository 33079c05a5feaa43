"""The client that the conformance suite drives: a whole gate before the suite's server, used the way an agent would.

The suite watches what reaches its server, so it judges the gate's downstream leg. Usage: ``… URL`` (the suite appends
it), with ``MCP_CONFORMANCE_CONTEXT`` naming calls to make.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from mcp_hub.param_headers import headers_for, mirrors_of
from tests.interaction.era_features import person
from tests.support.gateway import RunningGateway
from tests.support.mcp_clients import ModernClient

KEY = "vk-suite-0123456789abcdef0123456789"
SAMPLES = {"number": 3, "integer": 4, "boolean": True, "string": "text", "array": [], "object": {}}
RICH = "json_schema_2020_12_tool"
"""Its schema is to be sent back through the other tool."""
Json = dict[str, Any]


def user(method: str, params: Json) -> Json:
    """Accepts what a form proposes."""
    fields = params.get("requestedSchema", {}).get("properties", {})
    proposed = {name: field["default"] for name, field in fields.items() if "default" in field}
    return {"action": "accept", "content": proposed} if proposed else person(method, params)


async def tools_of(client: ModernClient) -> dict[str, Json]:
    """What the gate lists; it may take a moment until the server has answered."""
    for _ in range(100):
        result = (await client.request("tools/list", {})).answer.get("result", {})
        if result.get("tools") or not result.get("_meta", {}).get("io.tollkeeper/outcomes"):
            return {tool["name"]: tool for tool in result.get("tools", [])}
        await asyncio.sleep(0.1)
    return {}


def arguments_for(tool: Json) -> Json:
    properties = tool["inputSchema"].get("properties", {})
    return {name: SAMPLES.get(schema.get("type"), "text") for name, schema in properties.items()}


async def call(client: ModernClient, tool: Json, arguments: Json, **rounds: Any) -> Json:
    """One round, with the headers that a conforming client mirrors."""
    body, headers = client.parts("tools/call", {"name": tool["name"], "arguments": arguments, **rounds})
    mirrors = mirrors_of(msgspec.Raw(json.dumps(tool["inputSchema"], separators=(",", ":")).encode())) or ()
    headers.update(headers_for(mirrors, msgspec.Raw(json.dumps(arguments).encode())))
    answer = await client.http.post(client.path, json=body, headers=headers)
    found: Json = answer.json() if answer.headers["content-type"] == "application/json" else {}
    return found


async def use(client: ModernClient) -> None:
    tools = await tools_of(client)
    wanted = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT") or "{}").get("toolCalls")
    calls = [(tools[c["name"]], c["arguments"]) for c in wanted or () if c["name"] in tools]
    calls = calls or [(tool, arguments_for(tool)) for tool in tools.values()]
    if RICH in tools:
        calls = [(tool, {"schema": tools[RICH]["inputSchema"]}) for name, tool in tools.items() if name != RICH]
    # Every call once, and only then the rounds that continue them: states must not get mixed up.
    first = [(tool, arguments, await call(client, tool, arguments)) for tool, arguments in calls]
    for tool, arguments, answer in first:
        result = answer.get("result", {})
        if result.get("resultType") == "input_required":
            asked = result.get("inputRequests", {})
            answers = {name: user(q["method"], q["params"]) for name, q in asked.items()}
            state = {"requestState": result["requestState"]} if "requestState" in result else {}
            await call(client, tool, arguments, inputResponses=answers, **state)
    for listing, field, method, name in (
        ("resources/list", "resources", "resources/read", "uri"),
        ("prompts/list", "prompts", "prompts/get", "name"),
    ):
        for item in (await client.request(listing, {})).answer.get("result", {}).get(field, [])[:1]:
            await client.request(method, {name: item[name]})


async def main() -> None:
    yaml = f"""
    mcp_servers: {{member: {{url: "{sys.argv[-1]}", timeout: 10}}}}
    virtual_keys: [{{key_name: suite, key: {KEY}, allowed_tools: ["member/*"]}}]
    """
    capabilities = {"elicitation": {"form": {}}, "sampling": {}, "roots": {}}
    with tempfile.TemporaryDirectory() as directory:
        async with RunningGateway(yaml, Path(directory)) as gate:
            await use(ModernClient(gate.http, KEY, "/mcp/member", capabilities))


if __name__ == "__main__":
    asyncio.run(main())
