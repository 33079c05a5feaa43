"""Puts a virtual key on every request: for programs that cannot send a header of their own."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from types import TracebackType
from urllib.parse import urlsplit


class KeyProxy:
    """``async with KeyProxy(gateway_address, key) as proxy``; clients connect to ``proxy.address``."""

    def __init__(self, target: str, key: str) -> None:
        parts = urlsplit(target)
        self._target = parts.hostname or "", parts.port or 80
        self._header = f"authorization: Bearer {key}".encode()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> KeyProxy:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream, sink = await asyncio.open_connection(*self._target)
        back = asyncio.create_task(_copy(upstream, writer))
        self._tasks.add(back)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                lines = head[:-4].split(b"\r\n")
                lines.insert(1, self._header)
                sink.write(b"\r\n".join(lines) + b"\r\n\r\n")
                await _body(lines, reader, sink)
                await sink.drain()
        sink.close()


async def _body(lines: list[bytes], reader: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines[1:])}
    if b"content-length" in headers:
        sink.write(await reader.readexactly(int(headers[b"content-length"])))
    elif b"transfer-encoding" in headers:
        size = -1
        while size != 0:
            line = await reader.readuntil(b"\r\n")
            size = int(line, 16)
            sink.write(line + await reader.readexactly(size + 2))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()
