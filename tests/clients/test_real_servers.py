"""Real MCP servers from npm and PyPI, all behind one gate at once: every tool listed, a call to each.

``make test`` runs six of them; ``make prove`` fifteen, and prints memory and times (docs/eras.md).
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.clients.programs import client_program
from tests.support.gateway import RunningGateway
from tests.support.mcp_clients import ModernClient, connect

pytestmark = [pytest.mark.anyio, pytest.mark.client_programs]

KEY = "vk-real-0123456789abcdef0123456789"
Json = dict[str, Any]


@dataclass(frozen=True)
class RealServer:
    """How it is started, what it must offer, one call, and what the answer must contain."""

    name: str
    command: str
    args: tuple[str, ...]
    tools: int
    call: tuple[str, Json]
    says: str
    env: tuple[tuple[str, str], ...] = ()

    def entry(self) -> str:
        env = ", ".join(f'{name}: "{value}"' for name, value in self.env)
        args = ", ".join(f'"{arg}"' for arg in self.args)
        return f'{self.name}: {{command: "{self.command}", args: [{args}], env: {{{env}}}, timeout: 60}}'


def few(scratch: Path) -> list[RealServer]:
    beside = Path(sys.executable).parent
    (scratch / "a.txt").write_text("a file")
    subprocess.run(["git", "init", "-q", str(scratch / "repo")], check=True)
    memory = (("MEMORY_FILE_PATH", str(scratch / "memory.jsonl")),)
    thought = {"thought": "a", "nextThoughtNeeded": False, "thoughtNumber": 1, "totalThoughts": 1}
    berlin = {"timezone": "Europe/Berlin"}
    return [
        RealServer("time", str(beside / "mcp-server-time"), (), 2, ("get_current_time", berlin), "Europe/Berlin"),
        RealServer(
            "git",
            str(beside / "mcp-server-git"),
            ("--repository", str(scratch / "repo")),
            12,
            ("git_status", {"repo_path": str(scratch / "repo")}),
            "branch",
        ),
        RealServer(
            "every", client_program("mcp-server-everything"), ("stdio",), 15, ("echo", {"message": "hello"}), "hello"
        ),
        RealServer(
            "files",
            client_program("mcp-server-filesystem"),
            (str(scratch),),
            14,
            ("read_text_file", {"path": str(scratch / "a.txt")}),
            "a file",
        ),
        RealServer("memory", client_program("mcp-server-memory"), (), 9, ("read_graph", {}), "entities", memory),
        RealServer(
            "think",
            client_program("mcp-server-sequential-thinking"),
            (),
            1,
            ("sequentialthinking", thought),
            "thoughtNumber",
        ),
    ]


def more(scratch: Path, page: str) -> list[RealServer]:
    """Nine more; some can only fail here, since nothing but loopback is reached: then by name."""
    root = Path(os.environ["TOLLKEEPER_MORE_SERVERS"])

    def npm(name: str) -> str:
        return str(root / "node_modules" / ".bin" / name)

    duck = ("--db-path", ":memory:", "--read-write")
    mongo = ("--readOnly", "--telemetry", "disabled")
    chrome = ("--headless", "--isolated")
    token = (("NOTION_TOKEN", "dummy"),)
    return [
        RealServer(
            "fetch",
            str(root / "servers/bin/mcp-server-fetch"),
            ("--ignore-robots-txt", "--allow-private-ips"),
            1,
            ("fetch", {"url": page}),
            "ok",
        ),
        RealServer(
            "duck",
            str(root / "servers/bin/mcp-server-motherduck"),
            duck,
            4,
            ("execute_query", {"sql": "select 42"}),
            "42",
        ),
        RealServer(
            "sqlite",
            str(root / "sqlite/bin/mcp-server-sqlite"),
            ("--db-path", str(scratch / "s.db")),
            6,
            ("list_tables", {}),
            "[]",
        ),
        RealServer("playwright", npm("playwright-mcp"), chrome, 25, ("browser_tabs", {"action": "list"}), ""),
        RealServer("notion", npm("notion-mcp-server"), (), 24, ("API-get-self", {}), "", token),
        RealServer(
            "context", npm("context7-mcp"), (), 2, ("resolve-library-id", {"libraryName": "x", "query": "x"}), ""
        ),
        RealServer("mongo", npm("mongodb-mcp-server"), mongo, 18, ("list-databases", {}), ""),
        RealServer("chrome", npm("chrome-devtools-mcp"), chrome, 32, ("list_pages", {}), ""),
        RealServer(
            "claude",
            client_program("claude"),
            ("mcp", "serve"),
            22,
            ("Read", {"file_path": str(scratch / "a.txt")}),
            "",
        ),
    ]


async def tools_by_server(client: ModernClient, servers: list[RealServer]) -> dict[str, set[str]]:
    listed = (await client.request("tools/list", {})).result["tools"]
    return {s.name: {t["name"] for t in listed if t["name"].startswith(f"{s.name}__")} for s in servers}


async def until(ready: Callable[[dict[str, set[str]]], bool], client: ModernClient, servers: list[RealServer]) -> None:
    while not ready(await tools_by_server(client, servers)):
        await asyncio.sleep(0.2)


async def test_real_servers_together_list_everything_and_answer(tmp_path: Path, proving: bool) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    servers = few(scratch)
    yaml = """
    server: {{allowed_hosts: []}}
    mcp_servers:
      {entries}
    virtual_keys: [{{key_name: real, key: {key}, allowed_tools: ["*"]}}]
    """
    page = await asyncio.start_server(_ok, "127.0.0.1", 0)
    if proving:
        servers += more(scratch, f"http://127.0.0.1:{page.sockets[0].getsockname()[1]}/")
    lines = "\n      ".join(server.entry() for server in servers)
    started = time.monotonic()
    async with RunningGateway(yaml.format(entries=lines, key=KEY), tmp_path) as gate:
        gate.http.timeout = 90
        client = await connect(
            "modern", gate.http, KEY, capabilities={"elicitation": {"form": {}, "url": {}}, "roots": {}}
        )
        assert isinstance(client, ModernClient)
        ready = time.monotonic() - started
        await until(lambda found: all(len(found[s.name]) >= s.tools for s in servers), client, servers)
        listed = time.monotonic() - started
        total = sum(map(len, (await tools_by_server(client, servers)).values()))
        assert total >= sum(server.tools for server in servers)
        for server in servers:
            name, arguments = server.call
            exposed = next(t for t in (await tools_by_server(client, servers))[server.name] if t.endswith(name))
            told = await client.request("tools/call", {"name": exposed, "arguments": arguments})
            assert "error" in told.answer or server.says in told.text, told.answer
        process = psutil.Process(gate.process.pid)
        tree = sum(child.memory_info().rss for child in process.children(recursive=True))
        print(f"\n{len(servers)} servers, {total} tools: gate up in {ready:.1f} s, all listed in {listed:.1f} s")
        print(f"gate {process.memory_info().rss >> 20} MB; programs {tree >> 20} MB")
    page.close()


async def _ok(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok")
    writer.close()
