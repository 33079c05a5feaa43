"""MCP servers over HTTP that misbehave, by hand on sockets: ``rude_http.py PORT``. The path names the manner:

``/calm`` behaves; ``/loris`` sends its answers byte by byte and never ends one; ``/headers`` hangs after the head;
``/split`` cuts the stream inside characters and events; ``/big`` answers 50 MB; ``/endless`` lists without end;
``/storm`` says 20,000 times that its tools changed; ``/flap`` answers 404, 405 and 502 in turn; ``/reset`` closes in
the middle of a call; ``/invalid`` answers what is not JSON; ``/ids`` answers with wrong and repeated ids first;
``/many/N`` lists 500 tools in pages of 7.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
from typing import Any

SAID = "Grüße aus Zürich, 東京 – 🚀"
_flaps = itertools.count()


def head(status: int, kind: str, length: int | None) -> bytes:
    sized = f"content-length: {length}\r\n" if length is not None else "transfer-encoding: chunked\r\n"
    return f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\nmcp-session-id: s\r\n{sized}\r\n".encode()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def text(said: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": said}]}


def result_of(path: str, message: dict[str, Any]) -> dict[str, Any] | None:
    method, params = message.get("method"), message.get("params", {})
    if method == "initialize":
        capabilities = {"tools": {"listChanged": True}}
        return {"protocolVersion": "2025-06-18", "capabilities": capabilities, "serverInfo": {"name": "rude"}}
    if method == "tools/list":
        return tools_of(path, int(params.get("cursor", "0")))
    if method == "tools/call":
        return text("b" * 50 * 1024 * 1024 if path == "/big" else SAID)
    return None


def tools_of(path: str, page: int) -> dict[str, Any]:
    if path == "/endless":
        return {"tools": [{"name": f"t{page}", "inputSchema": {"type": "object"}}], "nextCursor": str(page + 1)}
    if not path.startswith("/many/"):
        return {"tools": [{"name": "work", "inputSchema": {"type": "object"}}]}
    numbers = range(page * 7, min(page * 7 + 7, 500))
    tools = [{"name": f"tool_{n}", "inputSchema": {"type": "object"}} for n in numbers]
    return {"tools": tools, **({"nextCursor": str(page + 1)} if page * 7 + 7 < 500 else {})}


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            request = await reader.readuntil(b"\r\n\r\n")
            verb, path, _ = request.split(b"\r\n")[0].decode().split(" ")
            headers = dict(line.lower().split(b": ", 1) for line in request.split(b"\r\n")[1:] if b": " in line)
            body = await reader.readexactly(int(headers.get(b"content-length", b"0")))
            if verb == "GET":
                await notices(path, writer)
            elif verb == "DELETE" or not body:
                writer.write(head(200, "text/plain", 0))
            else:
                await answer(path, json.loads(body), writer)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def notices(path: str, writer: asyncio.StreamWriter) -> None:
    if path != "/storm":
        writer.write(head(405, "text/plain", 0))
        return
    writer.write(head(200, "text/event-stream", None))
    event = json.dumps({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})
    for _ in range(200):
        writer.write(chunk(f"data: {event}\n\n".encode() * 100))
        await writer.drain()
    await asyncio.Event().wait()


async def answer(path: str, message: dict[str, Any], writer: asyncio.StreamWriter) -> None:
    if "id" not in message:
        writer.write(head(202, "text/plain", 0))
        return
    result = result_of(path, message)
    response = {"jsonrpc": "2.0", "id": message["id"]}
    if result is None:
        error = {**response, "error": {"code": -32601, "message": "Method not found"}}
        body = json.dumps(error).encode()
        writer.write(head(400, "application/json", len(body)) + body)
        return
    body = json.dumps({**response, "result": result}, ensure_ascii=False).encode()
    if message["method"] == "tools/call":
        await rudely(path, body, writer)
    else:
        writer.write(head(200, "application/json", len(body)) + body)


async def rudely(path: str, body: bytes, writer: asyncio.StreamWriter) -> None:
    if path == "/flap":
        status = (404, 405, 502)[next(_flaps) % 3]
        writer.write(head(status, "text/html", 4) + b"oops")
    elif path == "/invalid":
        writer.write(head(200, "application/json", 11) + b'{"jsonrpc":')
    elif path == "/reset":
        writer.write(head(200, "application/json", len(body)) + body[:20])
        writer.transport.abort()
    elif path == "/headers":
        writer.write(head(200, "application/json", len(body)))
        await asyncio.Event().wait()
    elif path == "/loris":
        writer.write(head(200, "text/event-stream", None))
        while True:
            writer.write(chunk(b":"))
            await writer.drain()
            await asyncio.sleep(0.05)
    elif path in ("/split", "/ids"):
        events = b"data: " + body + b"\n\n"
        if path == "/ids":
            wrong = json.dumps({"jsonrpc": "2.0", "id": 999_999, "result": text("not yours")}).encode()
            strings = json.dumps({"jsonrpc": "2.0", "id": "1", "result": text("not yours")}).encode()
            events = b"data: " + wrong + b"\n\ndata: " + strings + b"\n\n" + events + events
        writer.write(head(200, "text/event-stream", None))
        for at in range(0, len(events), 3):
            writer.write(chunk(events[at : at + 3]))
            await writer.drain()
        writer.write(chunk(b""))
    else:
        writer.write(head(200, "application/json", len(body)) + body)


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]))
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
