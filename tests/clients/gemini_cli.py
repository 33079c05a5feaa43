"""Runs the real Gemini CLI in a clean home against a gateway (https://geminicli.com/docs/)."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

from tests.clients.claude_code import client_program


async def run_gemini(address: str, key: str, home: Path, model: str, prompt: str) -> dict[str, Any]:
    """One headless run with one virtual key for models and tools; its JSON result."""
    settings = {
        "security": {"auth": {"selectedType": "gemini-api-key"}},
        "privacy": {"usageStatisticsEnabled": False},
        "telemetry": {"enabled": False},
        "general": {"disableAutoUpdate": True, "enableAutoUpdate": False},
        "mcpServers": {
            "gate": {"httpUrl": f"{address}/mcp", "headers": {"Authorization": f"Bearer {key}"}, "trust": True}
        },
    }
    place = home / ".gemini"
    place.mkdir(parents=True, exist_ok=True)
    (place / "settings.json").write_text(json.dumps(settings))
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "TERM": "dumb",
        "LANG": "C.UTF-8",
        "GEMINI_API_KEY": key,
        "GOOGLE_GEMINI_BASE_URL": address,
        "GEMINI_CLI_TRUST_WORKSPACE": "true",
        "GEMINI_CLI_NO_RELAUNCH": "1",
        "NO_COLOR": "1",
    }
    child = await asyncio.create_subprocess_exec(
        client_program("gemini"),
        *("-m", model, "--output-format", "json", "--approval-mode", "yolo", "-p", prompt),
        env=environment,
        cwd=home,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(child.communicate(), 90)
    if child.returncode != 0 or not out:
        raise RuntimeError(f"Gemini CLI ended with {child.returncode}: {err.decode()[-3000:]}")
    found: dict[str, Any] = json.loads(out[out.index(b"{") :])
    return found
