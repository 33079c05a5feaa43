"""MCP servers over stdio that misbehave: ``rude_server.py MODE``. The initialize era, by hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from typing import Any

MODE = sys.argv[1]
TOOLS = [
    {"name": name, "inputSchema": {"type": "object"}} for name in ("work", "big", "junk", "twice", "hang", "child")
]


def say(message: Any) -> None:
    text = message if isinstance(message, str) else json.dumps(message)
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def flood() -> None:
    while True:
        sys.stderr.write("x" * 4096 + "\n")
        sys.stderr.flush()
        time.sleep(0.001)


def text_result(text: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": text}]}


def call(request_id: Any, name: str) -> None:
    if name == "big":
        say({"jsonrpc": "2.0", "id": request_id, "result": text_result("b" * 50 * 1024 * 1024)})
    elif name == "junk":
        say('{"jsonrpc": "2.0", "id":')
        say({"jsonrpc": "2.0", "id": 999_999, "result": text_result("somebody else's")})
        say({"jsonrpc": "2.0", "id": "1", "result": text_result("a string id")})
        say({"jsonrpc": "2.0", "id": request_id, "result": text_result("the right one")})
    elif name == "twice":
        say({"jsonrpc": "2.0", "id": request_id, "result": text_result("first")})
        say({"jsonrpc": "2.0", "id": request_id, "result": text_result("second")})
    elif name == "child":
        child = subprocess.Popen(["sleep", "600"])
        say({"jsonrpc": "2.0", "id": request_id, "result": text_result(str(child.pid))})
    elif name != "hang":
        say({"jsonrpc": "2.0", "id": request_id, "result": text_result(f"worked {os.getpid()}")})


def answer(message: dict[str, Any]) -> None:
    method, request_id = message.get("method"), message.get("id")
    if request_id is None:
        return
    if method == "initialize":
        result = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "rude"}}
        say({"jsonrpc": "2.0", "id": request_id, "result": result})
    elif method == "tools/list" and MODE == "pages":
        page = int(message["params"].get("cursor", "0"))
        tools = [
            {"name": f"tool{n}", "inputSchema": {"type": "object"}} for n in range(page * 7, min(page * 7 + 7, 100))
        ]
        following = {"nextCursor": str(page + 1)} if page < 14 else {}
        say({"jsonrpc": "2.0", "id": request_id, "result": {"tools": tools, **following}})
    elif method == "tools/list":
        say({"jsonrpc": "2.0", "id": request_id, "result": {"tools": TOOLS}})
    elif method == "tools/call":
        call(request_id, message["params"]["name"])
    else:
        say({"jsonrpc": "2.0", "id": request_id, "error": {"code": -32601, "message": "Method not found"}})


def main() -> None:
    if MODE == "banner":
        say("Welcome to the rude server!\n\n\x1b[31m*** listening ***")
    if MODE == "flood":
        threading.Thread(target=flood, daemon=True).start()
    for line in sys.stdin:
        if MODE == "mute":
            continue
        answer(json.loads(line))


if __name__ == "__main__":
    main()
