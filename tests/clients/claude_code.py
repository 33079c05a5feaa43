"""Runs the real Claude Code CLI in a clean home against a gateway, and reads its JSON result.

Environment and flags as its own documentation names them; nothing but loopback is contacted.
"""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Era = Literal["modern", "legacy"]


def client_program(name: str) -> str:
    """A program that ``make test`` installed. Fails, and does not skip, when it is not there."""
    root = os.environ.get("TOLLKEEPER_CLIENTS")
    if root is None:
        raise RuntimeError("TOLLKEEPER_CLIENTS is not set: run these tests with 'make test'")
    path = Path(root) / "node_modules" / ".bin" / name
    if not path.exists():
        raise RuntimeError(f"{path} is missing: remove {root}/.installed and run 'make test'")
    return str(path)


@dataclass(frozen=True)
class ClaudeRun:
    """What Claude Code reported."""

    result: dict[str, Any]
    session: str


async def run_claude(
    address: str,
    key: str,
    home: Path,
    prompt: str,
    *,
    era: Era,
    allowed: str,
    model: str | None = None,
    search: bool = False,
) -> ClaudeRun:
    """One headless run with one virtual key for models and tools.

    ``search``: as it is by default, tools of MCP servers are not offered before the model has searched for them.
    """
    servers = home / "mcp.json"
    entry = {"type": "http", "url": f"{address}/mcp", "headers": {"Authorization": f"Bearer {key}"}}
    servers.write_text(json.dumps({"mcpServers": {"tollkeeper": entry}}))
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "TERM": "dumb",
        "LANG": "C.UTF-8",
        "IS_SANDBOX": "1",
        "ANTHROPIC_BASE_URL": f"{address}/anthropic",
        "ANTHROPIC_AUTH_TOKEN": key,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_TELEMETRY": "1",
        "DISABLE_ERROR_REPORTING": "1",
        "DISABLE_AUTOUPDATER": "1",
        **({} if search else {"ENABLE_TOOL_SEARCH": "false"}),
        **({"ANTHROPIC_MODEL": model} if model else {}),
        **({"MCP_PROTOCOL_NEGOTIATION": "legacy"} if era == "legacy" else {}),
    }
    child = await asyncio.create_subprocess_exec(
        client_program("claude"),
        *("-p", prompt, "--output-format", "json", "--mcp-config", str(servers), "--strict-mcp-config"),
        *("--allowedTools", allowed),
        env=environment,
        cwd=home,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(child.communicate(), 90)
    if child.returncode not in (0, 1) or not out:
        raise RuntimeError(f"Claude Code ended with {child.returncode}: {err.decode()[-2000:]}")
    result = json.loads(out)
    return ClaudeRun(result, result["session_id"])
