"""The mock's MCP side: a server of the initialize era over Streamable HTTP, with 200 tools, of which one echoes."""

from __future__ import annotations

import json
from typing import Any

TOOLS = 200
_SCHEMA = {"type": "object", "properties": {"text": {"type": "string", "description": "What to say."}}}
_NAMES = ["echo", *(f"tool_{n:03d}" for n in range(1, TOOLS))]
_LIST = {"tools": [{"name": name, "description": f"Does {name}.", "inputSchema": _SCHEMA} for name in _NAMES]}
_HELLO = {
    "protocolVersion": "2025-11-25",
    "capabilities": {"tools": {}},
    "serverInfo": {"name": "bench", "version": "1"},
}
_ECHO = {"content": [{"type": "text", "text": "echo"}], "isError": False}
_RESULTS: dict[str, dict[str, Any]] = {"initialize": _HELLO, "tools/list": _LIST, "tools/call": _ECHO, "ping": {}}


def answer(verb: bytes, body: bytes) -> bytes:
    """The whole answer to one request."""
    if verb != b"post":
        return _http("405 Method Not Allowed")
    asked = json.loads(body)
    if "id" not in asked:
        return _http("202 Accepted")
    result = _RESULTS.get(asked["method"])
    said = {"jsonrpc": "2.0", "id": asked["id"]}
    if result is None:
        error = {"code": -32601, "message": "Method not found"}
        return _http("400 Bad Request", json.dumps({**said, "error": error}).encode())
    return _http("200 OK", json.dumps({**said, "result": result}).encode())


def _http(status: str, body: bytes = b"") -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\nmcp-session-id: bench\r\ncontent-length: {len(body)}"
    )
    return head.encode() + b"\r\n\r\n" + body
