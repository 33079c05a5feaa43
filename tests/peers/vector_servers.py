"""Vector servers that cannot run here, as far as their documented wire goes: Qdrant's and Weaviate's HTTP, and
Redis's search module. Each keeps what it is given and searches it plainly; what a real one would refuse, they refuse.
"""

from __future__ import annotations

import asyncio
import re
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

Json = dict[str, Any]


def cosine(one: list[float], other: list[float]) -> float:
    dot = sum(a * b for a, b in zip(one, other, strict=True))
    return float(dot / (sum(a * a for a in one) * sum(b * b for b in other)) ** 0.5)


@asynccontextmanager
async def _serving(routes: list[web.RouteDef]) -> AsyncIterator[str]:
    app = web.Application()
    app.add_routes(routes)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def fake_qdrant() -> AsyncIterator[str]:
    """https://api.qdrant.tech: collections, points, the universal query."""
    collections: dict[str, Json] = {}

    def done(result: Any) -> web.Response:
        return web.json_response({"result": result, "status": "ok", "time": 0.0})

    async def exists(request: web.Request) -> web.Response:
        assert request.headers["api-key"] == "secret"
        return done({"exists": request.match_info["name"] in collections})

    async def create(request: web.Request) -> web.Response:
        body = await request.json()
        assert body["vectors"]["distance"] == "Cosine"
        collections[request.match_info["name"]] = {"size": body["vectors"]["size"], "points": {}}
        return done(True)

    async def index(request: web.Request) -> web.Response:
        assert (await request.json())["field_schema"] == "keyword"
        return done({"operation_id": 0, "status": "completed"})

    async def upsert(request: web.Request) -> web.Response:
        there = collections[request.match_info["name"]]
        for point in (await request.json())["points"]:
            assert len(point["vector"]) == there["size"]
            there["points"][point["id"]] = point
        return done({"operation_id": 1, "status": "completed"})

    async def query(request: web.Request) -> web.Response:
        body = await request.json()
        wanted = body["query"]["nearest"]
        points = [p for p in collections[request.match_info["name"]]["points"].values() if _matches(p, body["filter"])]
        ranked = sorted(points, key=lambda p: -cosine(p["vector"], wanted))[: body["limit"]]
        scored = [{**p, "version": 0, "score": cosine(p["vector"], wanted), "vector": None} for p in ranked]
        return done({"points": scored})

    async def delete(request: web.Request) -> web.Response:
        for point in (await request.json())["points"]:
            collections[request.match_info["name"]]["points"].pop(point, None)
        return done({"operation_id": 2, "status": "completed"})

    async def count(request: web.Request) -> web.Response:
        return done({"count": len(collections[request.match_info["name"]]["points"])})

    at = "/collections/{name}"
    routes = [
        web.get(f"{at}/exists", exists),
        web.put(at, create),
        web.put(f"{at}/index", index),
        web.put(f"{at}/points", upsert),
        web.post(f"{at}/points/query", query),
        web.post(f"{at}/points/delete", delete),
        web.post(f"{at}/points/count", count),
    ]
    async with _serving(routes) as address:
        yield address


def _matches(point: Json, wanted: Json) -> bool:
    for condition in wanted["must"]:
        value = point["payload"][condition["key"]]
        if "match" in condition and condition["match"] and value != condition["match"]["value"]:
            return False
        if condition.get("range") and not value > condition["range"]["gt"]:
            return False
    return True


@asynccontextmanager
async def fake_weaviate() -> AsyncIterator[str]:
    """https://docs.weaviate.io/weaviate/api: schema, objects, GraphQL."""
    objects: dict[str, Json] = {}
    classes: dict[str, Json] = {}

    async def schema(request: web.Request) -> web.Response:
        assert request.headers["authorization"] == "Bearer secret"
        found = classes.get(request.match_info["name"])
        return web.json_response(found, status=200) if found else web.json_response({}, status=404)

    async def create(request: web.Request) -> web.Response:
        body = await request.json()
        classes[body["class"]] = body
        return web.json_response(body)

    async def insert(request: web.Request) -> web.Response:
        body = await request.json()
        if body["id"] in objects:
            return web.json_response({"error": [{"message": f"id '{body['id']}' already exists"}]}, status=422)
        assert body["class"] in classes
        objects[body["id"]] = body
        return web.json_response(body)

    async def delete(request: web.Request) -> web.Response:
        gone = objects.pop(request.match_info["id"], None)
        return web.Response(status=204 if gone else 404)

    async def graphql(request: web.Request) -> web.Response:
        text = (await request.json())["query"]
        if "Aggregate" in text:
            name = re.search(r"Aggregate \{(\w+)", text)[1]  # type: ignore[index]
            return web.json_response({"data": {"Aggregate": {name: [{"meta": {"count": len(objects)}}]}}})
        name = re.search(r"Get \{(\w+)\(", text)[1]  # type: ignore[index]
        bucket = re.search(r'valueText: "(\w+)"', text)[1]  # type: ignore[index]
        after = float(re.search(r"valueNumber: ([\d.e+]+)", text)[1])  # type: ignore[index]
        wanted = [float(n) for n in re.search(r"vector: \[(.*?)\]", text)[1].split(",")]  # type: ignore[index]
        found = [o for o in objects.values() if o["properties"]["bucket"] == bucket]
        found = [o for o in found if o["properties"]["expires"] > after]
        ranked = sorted(found, key=lambda o: -cosine(_vector(o), wanted))[:1]
        lines = [
            {"entry": o["properties"]["entry"], "_additional": {"distance": 1 - cosine(_vector(o), wanted)}}
            for o in ranked
        ]
        return web.json_response({"data": {"Get": {name: lines}}})

    async def meta(request: web.Request) -> web.Response:
        return web.json_response({"version": "1.36.0", "modules": {}})

    async def well_known(request: web.Request) -> web.Response:
        return web.json_response({}, status=404)

    routes = [
        web.get("/v1/meta", meta),
        web.get("/v1/.well-known/{rest:.*}", well_known),
        web.get("/v1/schema/{name}", schema),
        web.post("/v1/schema", create),
        web.post("/v1/objects", insert),
        web.delete("/v1/objects/{name}/{id}", delete),
        web.post("/v1/graphql", graphql),
    ]
    async with _serving(routes) as address:
        yield address


def _vector(stored: Json) -> list[float]:
    found = stored.get("vector") or stored["vectors"]["default"]
    return [float(value) for value in found]


@asynccontextmanager
async def fake_search_module() -> AsyncIterator[str]:
    """Redis with its search module, as far as one flat vector index goes."""
    hashes: dict[bytes, dict[bytes, bytes]] = {}
    indexes: list[bytes] = []

    def search(arguments: list[bytes]) -> Any:
        bucket = re.search(rb"@bucket:\{(\w+)\}", arguments[1])[1]  # type: ignore[index]
        raw = arguments[arguments.index(b"wanted") + 1]
        wanted = list(struct.unpack(f"<{len(raw) // 4}f", raw))
        found = [(key, fields) for key, fields in hashes.items() if fields[b"bucket"] == bucket]
        scored = [(key, 1 - cosine(list(struct.unpack(f"<{len(wanted)}f", f[b"vector"])), wanted)) for key, f in found]
        if not scored:
            return [0]
        key, distance = min(scored, key=lambda pair: pair[1])
        return [1, key, [b"distance", str(distance).encode()]]

    def run(command: list[bytes]) -> Any:
        name, arguments = command[0].upper(), command[1:]
        if name == b"VCARD":
            return ValueError("ERR unknown command 'VCARD'")
        if name == b"FT._LIST":
            return indexes
        if name == b"FT.CREATE":
            assert b"COSINE" in arguments
            indexes.append(arguments[0])
            return "OK"
        if name == b"FT.SEARCH":
            return search(arguments)
        if name == b"HSET":
            pairs = arguments[1:]
            hashes.setdefault(arguments[0], {}).update(zip(pairs[::2], pairs[1::2], strict=True))
            return len(pairs) // 2
        if name == b"UNLINK":
            return sum(hashes.pop(key, None) is not None for key in arguments)
        if name == b"SCAN":
            return [b"0", list(hashes)]
        return "OK"

    async with _resp(run) as address:
        yield address


@asynccontextmanager
async def _resp(run: Callable[[list[bytes]], Any]) -> AsyncIterator[str]:
    """A server of Redis's protocol (https://redis.io/docs/latest/develop/reference/protocol-spec/), version 2."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        queued: list[Any] | None = None
        try:
            while True:
                command = await _command(reader)
                name = command[0].upper()
                if name == b"HELLO":
                    writer.write(b"-ERR unknown command 'HELLO'\r\n")
                elif name == b"MULTI":
                    queued = []
                    writer.write(b"+OK\r\n")
                elif name == b"EXEC":
                    writer.write(_encode(queued))
                    queued = None
                elif queued is not None:
                    queued.append(run(command))
                    writer.write(b"+QUEUED\r\n")
                else:
                    writer.write(_encode(run(command)))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0?protocol=2"
    finally:
        server.close()


async def _command(reader: asyncio.StreamReader) -> list[bytes]:
    count = int((await reader.readuntil(b"\r\n"))[1:-2])
    parts = []
    for _ in range(count):
        size = int((await reader.readuntil(b"\r\n"))[1:-2])
        parts.append((await reader.readexactly(size + 2))[:-2])
    return parts


def _encode(value: Any) -> bytes:
    if isinstance(value, Exception):
        return b"-" + str(value).encode() + b"\r\n"
    if isinstance(value, str):
        return b"+" + value.encode() + b"\r\n"
    if isinstance(value, int):
        return b":%d\r\n" % value
    if isinstance(value, bytes):
        return b"$%d\r\n%b\r\n" % (len(value), value)
    return b"*%d\r\n" % len(value) + b"".join(map(_encode, value))
