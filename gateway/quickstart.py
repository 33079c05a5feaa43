"""``make run``: serves ``examples/quickstart.yaml`` with a virtual key made for this installation."""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path

from gateway.server import run_server
from gateway.serving import ServeOptions
from gateway.state import StateDir, StateError

CONFIG = Path(__file__).parent.parent / "examples" / "quickstart.yaml"
STATE = Path(".tollkeeper")
KEY_FILE = "quickstart.key"
KEY_VARIABLE = "TOLLKEEPER_QUICKSTART_KEY"
ADDRESS = "http://127.0.0.1:8080"

CALL = (
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_current_time",'
    '"arguments":{"timezone":"UTC"},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",'
    '"io.modelcontextprotocol/clientCapabilities":{}}}}'
)
WELCOME = """
Tollkeeper serves {address}
Virtual key (kept in {file}): {key}

A tool call:
  curl -s {address}/mcp/time -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' \\
    -H 'MCP-Protocol-Version: 2026-07-28' -H 'Mcp-Method: tools/call' -H 'Mcp-Name: get_current_time' \\
    -d '{call}'

A model call ({models}):
  curl -s {address}/v1/chat/completions -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' \\
    -d '{{"model":"gpt-4o-mini","messages":[{{"role":"user","content":"hello"}}]}}'

Claude Code:
  claude mcp add --transport http tollkeeper {address}/mcp --header "Authorization: Bearer {key}"
  export ANTHROPIC_BASE_URL={address}/anthropic
  export ANTHROPIC_AUTH_TOKEN={key}

What was done, and what it cost:
  .venv/bin/tollkeeper ledger
"""


def main() -> int:
    """Prepare the key, say what to paste, serve."""
    try:
        state = StateDir.prepare(STATE)
        key = state.secret(KEY_FILE, lambda: "vk-" + secrets.token_urlsafe(32))
    except StateError as error:
        print(error, file=sys.stderr)
        return 1
    os.environ[KEY_VARIABLE] = key
    print(welcome(key, os.environ.get("OPENAI_API_KEY", "")), flush=True)
    return run_server(ServeOptions(CONFIG, STATE))


def welcome(key: str, openai_key: str) -> str:
    """Lines ready to paste."""
    models = "OPENAI_API_KEY is set" if openai_key else "set OPENAI_API_KEY first, or name a model of Ollama"
    return WELCOME.format(address=ADDRESS, file=STATE / KEY_FILE, key=key, models=models, call=CALL)


if __name__ == "__main__":
    sys.exit(main())
