"""The least that a gateway in Python can be: uvicorn, a pool of connections, httptools. It checks nothing and books
nothing. ``python -m bench.bare PORT UPSTREAM_PORT``: what every other figure of one run is compared with."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import httptools
import uvicorn

from gateway.http_protocol import OneWriteProtocol

Message = MutableMapping[str, Any]


class Upstream(asyncio.Protocol):
    """One connection, one exchange at a time."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._parts: list[bytes] = []
        self._answer: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, data: bytes) -> None:
        self._parts.append(data)

    def on_message_complete(self) -> None:
        if self._answer is not None:
            self._answer.set_result(b"".join(self._parts))

    async def ask(self, head: bytes, body: bytes) -> bytes:
        """The body of the answer."""
        self._parser = httptools.HttpResponseParser(self)
        self._parts = []
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(head + body)
        return await self._answer


class Forwarder:
    """ASGI: every request goes on as it came."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._free: list[Upstream] = []

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        if scope["type"] != "http":
            return
        body = (await receive())["body"]
        if self._free:
            upstream = self._free.pop()
        else:
            _, upstream = await asyncio.get_running_loop().create_connection(Upstream, "127.0.0.1", self._port)
        head = f"POST {scope['path']} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n".encode()
        answer = await upstream.ask(head, body)
        self._free.append(upstream)
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})


class Announced(uvicorn.Server):
    """Says when it listens, so that nobody has to guess."""

    async def startup(self, sockets: list[Any] | None = None) -> None:
        await super().startup(sockets)
        print("ready", flush=True)


def main() -> None:
    port, upstream = int(sys.argv[1]), int(sys.argv[2])
    options = uvicorn.Config(
        Forwarder(upstream), port=port, http=OneWriteProtocol, loop="uvloop", log_level="warning", access_log=False
    )
    Announced(options).run()


if __name__ == "__main__":
    main()
