"""Direct and through the gate are the same: results and arguments with fields that nobody knows pass byte for byte;
only the declared rewrites differ."""

from __future__ import annotations

import asyncio
import base64
import json
import math
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.peers.mirror_server import TOOLS
from tests.support.gateway import ROOT, RunningGateway
from tests.support.mcp_clients import LegacyClient, ModernClient, connect
from tests.support.services import free_port, wait_for_port

pytestmark = pytest.mark.anyio

KEY = "vk-mirror-0123456789abcdef0123456789"
PLACEHOLDER = "here stand the bytes"
PLACE = json.dumps(PLACEHOLDER).encode()

numbers = st.one_of(
    st.integers(-(10**30), 10**30),
    st.floats(allow_nan=False, allow_infinity=False).filter(lambda f: not math.isinf(f)),
)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, st.text(max_size=20)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=10), inner, max_size=4)),
    max_leaves=12,
)
fields = st.dictionaries(st.text(min_size=1, max_size=12).filter(lambda name: name not in OWN), values, max_size=5)
OWN = {"resultType", "ttlMs", "cacheScope", "_meta", "isError", "structuredContent", "content", "messages", "contents"}
blocks = st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": st.text(max_size=30)}), max_size=3)


@pytest.fixture(scope="module")
async def gate(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningGateway]:
    """A gate before one mirror of each era."""
    entries, programs = [], []
    for era in ("modern", "legacy"):
        port = free_port()
        programs.append(
            await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.peers.mirror_server", era, str(port), cwd=ROOT
            )
        )
        await wait_for_port(port)
        entries.append(f'{era}: {{url: "http://127.0.0.1:{port}/mcp"}}')
    yaml = f"""
    mcp_servers: {{{", ".join(entries)}}}
    virtual_keys: [{{key_name: mirror, key: {KEY}, allowed_tools: ["*"]}}]
    """
    try:
        async with RunningGateway(yaml, tmp_path_factory.mktemp("gate")) as running:
            yield running
    finally:
        for program in programs:
            program.kill()
            await program.wait()


async def clients(gate: RunningGateway) -> list[tuple[str, str, ModernClient | LegacyClient]]:
    return [
        (client_era, member_era, await connect(client_era, gate.http, KEY, f"/mcp/{member_era}"))
        for client_era in ("modern", "legacy")
        for member_era in ("modern", "legacy")
    ]


async def raw_result(client: ModernClient | LegacyClient, method: str, params: dict[str, Any], body: bytes) -> bytes:
    """The bytes of the result; ``body`` stands for the raw params where they matter."""
    message, headers = _message(client, method, params)
    sent = json.dumps(message).encode().replace(PLACE, body) if body else json.dumps(message).encode()
    answer = await client.http.post(client.path, content=sent, headers=headers)
    return bytes(msgspec.json.decode(answer.content, type=dict[str, msgspec.Raw])["result"])


def _message(client: ModernClient | LegacyClient, method: str, params: dict[str, Any]) -> tuple[Any, dict[str, str]]:
    if isinstance(client, ModernClient):
        return client.parts(method, params)
    return {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}, client.headers


def without(raw: bytes, *names: str) -> list[tuple[str, bytes]]:
    """The fields in their order, values as bytes."""
    split = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    return [(name, bytes(value)) for name, value in split.items() if name not in names]


@given(fields, blocks, st.booleans(), st.booleans())
async def test_a_tools_result_passes_byte_for_byte(
    gate: RunningGateway, extra: dict[str, Any], content: list[Any], failed: bool, typed: bool
) -> None:
    for client_era, member_era, client in await clients(gate):
        result: dict[str, Any] = {
            "content": content,
            **extra,
            "structuredContent": {"x": [1.50, 2]},
            "_meta": {"a": None},
        }
        if failed:
            result["isError"] = True
        if member_era == "modern":
            result["resultType"] = "complete"
        sent = json.dumps(result, ensure_ascii=typed).encode()
        got = await raw_result(client, "tools/call", {"name": "reflect", "arguments": {"result": PLACEHOLDER}}, sent)
        if client_era == member_era or (client_era, member_era) == ("legacy", "legacy"):
            assert got == sent
        assert without(got, "resultType") == without(sent, "resultType")
        assert ("resultType" in json.loads(got)) == (client_era == "modern")


@given(fields, fields)
async def test_arguments_and_meta_reach_the_tool_byte_for_byte(
    gate: RunningGateway, arguments: dict[str, Any], meta: dict[str, Any]
) -> None:
    for _, _, client in await clients(gate):
        sent = json.dumps(arguments).encode()
        own = {f"example.com/{name}": value for name, value in meta.items()}
        params = {"name": "receive", "arguments": PLACEHOLDER, "_meta": own}
        seen = json.loads(await raw_result(client, "tools/call", params, sent))["content"][0]["text"].encode()
        split = dict(without(seen))
        assert split["arguments"] == sent
        received = json.loads(split.get("_meta", b"{}"))
        assert {n: v for n, v in received.items() if not n.startswith("io.modelcontextprotocol/")} == own


@given(fields, blocks)
async def test_prompts_and_resources_pass_byte_for_byte(
    gate: RunningGateway, extra: dict[str, Any], content: list[Any]
) -> None:
    for client_era, _, client in await clients(gate):
        messages = [{"role": "user", "content": block} for block in content]
        sent = json.dumps({"messages": messages, **extra})
        params = {"name": "reflect", "arguments": {"result": sent}}
        got = await raw_result(client, "prompts/get", params, b"")
        assert without(got, "resultType") == without(sent.encode())
        uri = "mirror://" + base64.urlsafe_b64encode(json.dumps({"contents": [], **extra}).encode()).decode()
        read = await raw_result(client, "resources/read", {"uri": uri}, b"")
        hints = ("resultType", "ttlMs", "cacheScope")
        assert without(read, *hints) == without(json.dumps({"contents": [], **extra}).encode())
        assert (client_era == "modern") == ({*hints} <= set(json.loads(read)))


async def test_lists_keep_every_field_of_their_items(gate: RunningGateway, tmp_path: Path) -> None:
    for _, _, client in await clients(gate):
        listed = json.loads(await raw_result(client, "tools/list", {}, b""))["tools"]
        assert json.dumps(listed) == json.dumps(TOOLS)
