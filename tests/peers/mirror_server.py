"""An MCP server that answers with what it was given, byte for byte: ``mirror_server.py modern|legacy PORT``.

``tools/call`` of ``reflect`` returns ``arguments.result`` as the result itself; of ``receive`` the params as they
came, as text. ``prompts/get`` and ``resources/read`` return the JSON in their argument or URI.
"""

from __future__ import annotations

import base64
import sys
from typing import Any

import msgspec
import uvicorn

Raw = msgspec.Raw
ERA = sys.argv[1] if len(sys.argv) > 1 else "modern"
_object = msgspec.json.Decoder(dict[str, Raw]).decode
SCHEMA = {"type": "object"}
TOOLS = [
    {"name": "reflect", "inputSchema": {**SCHEMA, "x-own": [1.50, None, {"é": 1e3}]}, "x-vendor": {"deep": [None]}},
    {"name": "receive", "inputSchema": SCHEMA, "annotations": {"readOnlyHint": True, "unknownHint": "x"}},
]
CAPABILITIES: dict[str, Any] = {"tools": {}, "prompts": {}, "resources": {}}


def result_of(method: str, params: dict[str, Raw]) -> bytes | None:
    hints = {"ttlMs": 0, "cacheScope": "private"} if ERA == "modern" else {}
    plain: dict[str, Any] | None = None
    if method == "initialize":
        plain = {"protocolVersion": "2025-11-25", "capabilities": CAPABILITIES, "serverInfo": {"name": "m"}}
    elif method == "server/discover":
        plain = {"supportedVersions": ["2026-07-28"], "capabilities": CAPABILITIES, **hints}
    elif method == "tools/list":
        plain = {"tools": TOOLS, **hints}
    elif method == "prompts/list":
        plain = {"prompts": [{"name": "reflect", "arguments": [{"name": "result"}]}], **hints}
    elif method == "resources/list":
        plain = {"resources": [], **hints}
    elif method == "resources/templates/list":
        plain = {"resourceTemplates": [{"uriTemplate": "mirror://{result}", "name": "m"}], **hints}
    elif method == "tools/call" and bytes(params["name"]) == b'"reflect"':
        return bytes(_object(params["arguments"])["result"])
    elif method == "tools/call":
        plain = {"content": [{"type": "text", "text": msgspec.json.encode(params).decode()}]}
    elif method == "prompts/get":
        return msgspec.json.decode(_object(params["arguments"])["result"], type=str).encode()
    elif method == "resources/read":
        uri = msgspec.json.decode(params["uri"], type=str)
        return base64.urlsafe_b64decode(uri.removeprefix("mirror://"))
    return msgspec.json.encode(plain) if plain is not None else None


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        part = await receive()
        body, more = body + part.get("body", b""), part.get("more_body", False)
    status, answer = 405, b""
    if scope["method"] == "POST":
        message = _object(body)
        status = 202
        if "id" in message:
            method = msgspec.json.decode(message["method"], type=str)
            known = method != ("initialize" if ERA == "modern" else "server/discover")
            result = result_of(method, _object(message["params"])) if known else None
            failure = b'"error":{"code":-32601,"message":"Method not found"}'
            status = 404 if result is None else 200
            told = failure if result is None else b'"result":' + result
            answer = b'{"jsonrpc":"2.0","id":' + bytes(message["id"]) + b"," + told + b"}"
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": answer})


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="warning")
