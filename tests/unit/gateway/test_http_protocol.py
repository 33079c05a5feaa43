"""What is written in one turn of the loop leaves in one call, in its order, and before the connection closes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn

from gateway.http_protocol import OneWriteProtocol, OneWriteTransport
from gateway.surfaces.http import ANSWER, Client, Field, Receive, Scope, Send, answer

pytestmark = pytest.mark.anyio


class Wire:
    def __init__(self) -> None:
        self.calls: list[list[bytes]] = []
        self.closed = False

    def writelines(self, parts: list[bytes]) -> None:
        self.calls.append(parts)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def get_extra_info(self, name: str) -> str:
        return f"own {name}"


def made() -> tuple[Wire, Any]:
    wire = Wire()
    return wire, OneWriteTransport(wire, asyncio.get_running_loop())  # type: ignore[arg-type]


async def test_a_head_and_its_body_leave_together_and_the_next_turn_apart() -> None:
    wire, transport = made()
    transport.write(b"head")
    transport.write(b"body")
    assert wire.calls == []
    await asyncio.sleep(0)
    transport.write(b"more")
    await asyncio.sleep(0)
    assert wire.calls == [[b"head", b"body"], [b"more"]]


async def test_closing_sends_what_was_written_first_and_nothing_later() -> None:
    wire, transport = made()
    transport.write(b"last words")
    transport.close()
    assert (wire.calls, wire.closed) == ([[b"last words"]], True)
    transport.write(b"too late")
    await asyncio.sleep(0)
    assert wire.calls == [[b"last words"]]


async def test_everything_else_is_the_transports_own() -> None:
    _, transport = made()
    assert transport.get_extra_info("peername") == "own peername"


def watched(*, closing: bool) -> tuple[OneWriteProtocol, list[str]]:
    said: list[str] = []
    protocol = OneWriteProtocol.__new__(OneWriteProtocol)
    protocol.transport = SimpleNamespace(is_closing=lambda: closing)  # type: ignore[assignment]
    protocol.flow = SimpleNamespace(resume_reading=lambda: said.append("reads"))  # type: ignore[assignment]
    return protocol, said


def test_who_watches_a_client_that_has_gone_already_is_told_at_once() -> None:
    protocol, said = watched(closing=True)
    protocol.when_lost(lambda: said.append("gone"))
    assert said == ["gone"]


def test_who_watches_a_client_makes_the_server_read_on_so_that_it_sees_the_end() -> None:
    protocol, said = watched(closing=False)
    protocol.when_lost(lambda: said.append("gone"))
    assert said == ["reads"]


@asynccontextmanager
async def serving(*fields: Field, idle_s: int = 60, left: dict[str, bool] | None = None) -> AsyncIterator[int]:
    """A server that gives every request's path back, with these headers; its port. ``/waits`` is answered behind
    ``/second``, which begins behind it. ``idle_s``: how long it keeps a connection that is not used; ``left``: whether an answer left at once."""
    waiting, another = asyncio.Event(), asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/waits":
            waiting.set()
            await another.wait()
        elif scope["path"] == "/second":
            await waiting.wait()
        await answer(Client(scope, receive, send), 200, fields, scope["path"].encode())
        if left is not None:
            left[scope["path"]] = not scope["extensions"][ANSWER].__self__.transport._parts
        another.set()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(
            app,  # type: ignore[arg-type]
            http=OneWriteProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            timeout_keep_alive=idle_s,
        )
        server = uvicorn.Server(config)
        server.config.load()
        server.lifespan = config.lifespan_class(config)
        await server.startup([listener])
        await server.on_tick(0)  # sets the date
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            await server.shutdown([listener])


async def exchange(port: int, *requests: str) -> bytes:
    """All that the server says to these requests, sent at once, until it closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write("".join(requests).encode())
    try:
        return await reader.read()
    finally:
        writer.close()


LAST = "GET /last HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"


async def test_an_answer_at_once_has_its_length_the_servers_own_headers_and_what_it_was_given() -> None:
    async with serving(("x-own", "d\u00e9j\u00e0")) as port:
        said = await exchange(port, LAST)
    head, _, body = said.partition(b"\r\n\r\n")
    status, *lines = head.split(b"\r\n")
    assert (status, body) == (b"HTTP/1.1 200 OK", b"/last")
    assert {b"content-length: 5", b"connection: close", "x-own: d\u00e9j\u00e0".encode("latin-1")} <= set(lines)
    assert any(line.startswith(b"date: ") for line in lines)


async def test_requests_that_were_sent_without_waiting_are_answered_in_their_order() -> None:
    async with serving() as port:
        said = await exchange(port, "GET /first HTTP/1.1\r\nhost: x\r\n\r\n", LAST)
    assert said.count(b"HTTP/1.1 200 OK") == 2
    assert said.index(b"/first") < said.index(b"/last")
    assert b"connection: close" not in said[: said.index(b"/first")]


async def test_a_connection_that_nobody_uses_is_closed_after_its_time_and_not_before() -> None:
    async with serving(idle_s=0) as port:
        said = await exchange(port, "GET /first HTTP/1.1\r\nhost: x\r\n\r\n")
    assert said.endswith(b"/first")
    assert b"connection: close" not in said
    async with serving() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for path in (b"/first", b"/again"):
            writer.write(b"GET %s HTTP/1.1\r\nhost: x\r\n\r\n" % path)
            assert (await reader.readuntil(path)).startswith(b"HTTP/1.1 200 OK")
        writer.close()


async def test_an_answer_leaves_at_once_if_no_other_can_leave_with_it() -> None:
    left: dict[str, bool] = {}
    async with serving(left=left) as port:
        waits, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /waits HTTP/1.1\r\nhost: x\r\n\r\n")
        reader, second = await asyncio.open_connection("127.0.0.1", port)
        second.write(b"GET /second HTTP/1.1\r\nhost: x\r\n\r\n")
        await reader.readuntil(b"/second")
        await waits.readuntil(b"/waits")
        second.write(b"GET /third HTTP/1.1\r\nhost: x\r\n\r\n")
        await reader.readuntil(b"/third")
        assert (left["/second"], left["/third"]) == (False, True)
        writer.close()
        second.close()


async def test_the_head_alone_has_no_body() -> None:
    async with serving() as port:
        said = await exchange(port, "HEAD /first HTTP/1.1\r\nhost: x\r\n\r\n", LAST)
    assert (said.count(b"HTTP/1.1 200 OK"), said.count(b"/first")) == (2, 0)


@pytest.mark.parametrize("value", ["a\r\nset-cookie: b", "a\nset-cookie: b", "a\rb", "a\0b"])
async def test_a_header_that_would_end_its_line_is_not_sent(value: str) -> None:
    async with serving(("x-own", value)) as port:
        said = await exchange(port, LAST)
    assert said.startswith(b"HTTP/1.1 500 ")
    assert b"x-own" not in said
