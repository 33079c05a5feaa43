"""Runs the real Claude Code CLI in a clean home against a gateway, and reads its JSON result.

Environment and flags as its own documentation names them; nothing but loopback is contacted.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tests.clients.programs import run_program

Era = Literal["modern", "legacy"]


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
    arguments = (
        *("-p", prompt, "--output-format", "json", "--mcp-config", str(servers), "--strict-mcp-config"),
        *("--allowedTools", allowed),
    )
    out = await run_program("claude", arguments, environment, home, (0, 1))
    result = json.loads(out)
    return ClaudeRun(result, result["session_id"])
