"""Runs the real Gemini CLI in a clean home against a gateway (https://geminicli.com/docs/)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.clients.programs import run_program


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
        "GEMINI_API_KEY": key,
        "GOOGLE_GEMINI_BASE_URL": address,
        "GEMINI_CLI_TRUST_WORKSPACE": "true",
        "GEMINI_CLI_NO_RELAUNCH": "1",
        "NO_COLOR": "1",
    }
    arguments = ("-m", model, "--output-format", "json", "--approval-mode", "yolo", "-p", prompt)
    out = await run_program("gemini", arguments, environment, home)
    found: dict[str, Any] = json.loads(out[out.index(b"{") :])
    return found
