"""The mock's MCP side: a server of the initialize era with some tools, of which one echoes. Over Streamable HTTP it is
a part of ``bench.mock``, over stdio ``bench.mock_stdio``."""

from __future__ import annotations

from functools import cache

import msgspec

TOOLS = 200
_SCHEMA = {"type": "object", "properties": {"text": {"type": "string", "description": "What to say."}}}
_HELLO = {
    "protocolVersion": "2025-11-25",
    "capabilities": {"tools": {}},
    "serverInfo": {"name": "bench", "version": "1"},
}
_ECHO = {"content": [{"type": "text", "text": "echo"}], "isError": False}
_RESULTS = {
    method: msgspec.json.encode(result)
    for method, result in {"initialize": _HELLO, "tools/call": _ECHO, "ping": {}}.items()
}
_UNKNOWN = b'"error":{"code":-32601,"message":"Method not found"}'


class _Asked(msgspec.Struct):
    method: str
    id: msgspec.Raw = msgspec.Raw()


_read = msgspec.json.Decoder(_Asked).decode


@cache
def _listed(tools: int) -> bytes:
    names = ["echo", *(f"tool_{n:03d}" for n in range(1, tools))]
    listed = [{"name": name, "description": f"Does {name}.", "inputSchema": _SCHEMA} for name in names]
    return msgspec.json.encode({"tools": listed})


def reply(message: bytes, tools: int = TOOLS) -> bytes | None:
    """The answer to one message, of a server with so many tools; none to a notification."""
    asked = _read(message)
    if not asked.id:
        return None
    result = _listed(tools) if asked.method == "tools/list" else _RESULTS.get(asked.method)
    said = b'"result":' + result if result is not None else _UNKNOWN
    return b'{"jsonrpc":"2.0","id":' + bytes(asked.id) + b"," + said + b"}"


def answer(verb: bytes, path: bytes, body: bytes) -> bytes:
    """The whole answer to one HTTP request; ``/mcp/10`` is a server with ten tools."""
    if verb != b"post":
        return _http("405 Method Not Allowed")
    said = reply(body, int(path.removeprefix(b"/mcp").strip(b"/") or TOOLS))
    if said is None:
        return _http("202 Accepted")
    return _http("400 Bad Request" if said.endswith(_UNKNOWN + b"}") else "200 OK", said)


def _http(status: str, body: bytes = b"") -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\nmcp-session-id: bench\r\ncontent-length: {len(body)}"
    )
    return head.encode() + b"\r\n\r\n" + body
