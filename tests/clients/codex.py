"""Runs the real Codex CLI in a clean home against a gateway (https://developers.openai.com/codex/config-reference)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.clients.programs import run_program

_SETTINGS = """
model = "{model}"
model_provider = "gate"
approval_policy = "never"
sandbox_mode = "danger-full-access"
check_for_update_on_startup = false

[model_providers.gate]
name = "gate"
base_url = "{address}/v1"
env_key = "GATE_KEY"
wire_api = "responses"
request_max_retries = 0
stream_max_retries = 0

[mcp_servers.gate]
url = "{address}/mcp"
bearer_token_env_var = "GATE_KEY"

[features]
plugins = false
apps = false

[analytics]
enabled = false

[otel]
exporter = "none"
"""


@dataclass(frozen=True)
class CodexRun:
    """What Codex reported: every event of its thread."""

    events: list[dict[str, Any]]

    @property
    def session(self) -> str:
        """The run, as the ledger names it."""
        return next(str(event["thread_id"]) for event in self.events if event["type"] == "thread.started")

    def items(self, kind: str) -> list[dict[str, Any]]:
        """What it has done of one sort (``agent_message``, ``mcp_tool_call``, ``command_execution``)."""
        done = [event["item"] for event in self.events if event["type"] == "item.completed"]
        return [item for item in done if item["type"] == kind]


async def run_codex(address: str, key: str, home: Path, model: str, prompt: str) -> CodexRun:
    """One headless run with one virtual key for models and tools."""
    place = home / ".codex"
    place.mkdir(parents=True, exist_ok=True)
    (place / "config.toml").write_text(_SETTINGS.format(model=model, address=address))
    environment = {
        "CODEX_HOME": str(place),
        "GATE_KEY": key,
    }
    arguments = ("exec", "--skip-git-repo-check", "--json", prompt)
    out = await run_program("codex", arguments, environment, home)
    return CodexRun([json.loads(line) for line in out.splitlines() if line.startswith(b"{")])
