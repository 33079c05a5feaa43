"""A request's body reaches who reads it whole, however it came, and wakes the reader no oftener than it must."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

import pytest
import uvicorn
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.server import ServerState

from gateway.http_protocol import OneWriteProtocol
from gateway.surfaces.http import BodyTooLarge, headers_of, read_body, send_bytes

pytestmark = pytest.mark.anyio

Message = MutableMapping[str, Any]
BODY = bytes(range(256)) * 800
"""200 kB."""


class Wire:
    """The server's side of a connection."""

    def __init__(self) -> None:
        self.pauses = 0
        self.reads = True
        self.sent: list[bytes] = []

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None:
        self.pauses, self.reads = self.pauses + 1, False

    def resume_reading(self) -> None:
        self.reads = True

    def writelines(self, parts: Iterable[bytes]) -> None:
        self.sent += parts

    def close(self) -> None:
        """Nobody waits for it."""


class Reader:
    """An application that reads a body as the surfaces do, and counts how often it was woken."""

    def __init__(self, limit: int = 10**7) -> None:
        self.limit = limit
        self.woken = 0
        self.body: bytes | None = None
        self.ended = asyncio.Event()

    async def __call__(
        self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        async def counted() -> Message:
            message = await receive()
            self.woken += 1
            return message

        try:
            self.body = await read_body(headers_of(scope), counted, self.limit)
        except BodyTooLarge:
            self.body = b"too large"
        await send_bytes(send, 200, (), b"")
        self.ended.set()


def served(reader: Any) -> tuple[OneWriteProtocol, Wire]:
    config = uvicorn.Config(reader, http=OneWriteProtocol, ws="none", lifespan="off", log_config=None)
    protocol = OneWriteProtocol(config, ServerState(), {}, asyncio.get_running_loop())
    wire = Wire()
    protocol.connection_made(wire)  # type: ignore[arg-type]
    return protocol, wire


def measured(body: bytes) -> bytes:
    return b"POST / HTTP/1.1\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


def chunked(body: bytes, size: int) -> bytes:
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    head = b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


async def turn() -> None:
    """What is ready runs: the task begins, reads, and goes on."""
    for _ in range(4):
        await asyncio.sleep(0)


@pytest.mark.parametrize("size", [1, 100, 1_448, 65_536, 65_537, 256_000])
@pytest.mark.parametrize("form", ["measured", "chunked"])
@pytest.mark.parametrize("turns", [True, False], ids=["read-between", "all-at-once"])
async def test_a_body_is_the_same_however_it_was_cut(size: int, form: str, turns: bool) -> None:
    body = BODY if size > 1 else BODY[:3_000]
    reader = Reader()
    protocol, _ = served(reader)
    request = measured(body) if form == "measured" else chunked(body, max(size, 7))
    for _ in range(2):  # and so is the next one of the same connection
        for at in range(0, len(request), size):
            protocol.data_received(request[at : at + size])
            if turns:
                await turn()
        await asyncio.wait_for(reader.ended.wait(), 5)
        assert reader.body == body
        reader.body = None
        reader.ended.clear()


async def test_a_large_body_that_came_with_one_reading_is_one_message_and_stops_nothing() -> None:
    reader = Reader()
    protocol, wire = served(reader)
    protocol.data_received(measured(BODY))
    await reader.ended.wait()
    assert (reader.body, reader.woken, wire.pauses) == (BODY, 1, 0)


async def test_small_pieces_wake_the_reader_when_the_last_one_has_come() -> None:
    reader = Reader()
    protocol, wire = served(reader)
    request = measured(BODY[:60_000])
    for at in range(0, len(request), 1_448):
        protocol.data_received(request[at : at + 1_448])
        await turn()
    await reader.ended.wait()
    assert (reader.body, reader.woken, wire.pauses) == (BODY[:60_000], 1, 0)


async def test_a_body_in_pieces_is_taken_by_and_by_so_that_its_bound_holds_before_its_end() -> None:
    reader = Reader(limit=100_000)
    protocol, _ = served(reader)
    request = chunked(BODY, 4_000)
    for at in range(0, 180_000, 4_000):  # it never ends
        protocol.data_received(request[at : at + 4_000])
        await turn()
    await asyncio.wait_for(reader.ended.wait(), 5)
    assert reader.body == b"too large"


async def test_what_nobody_takes_stops_the_reading_until_somebody_does() -> None:
    gone_on = asyncio.Event()
    reader = Reader()

    async def late(scope: Message, receive: Any, send: Any) -> None:
        await gone_on.wait()
        await reader(scope, receive, send)

    protocol, wire = served(late)
    request = measured(BODY * 4)
    came = 0
    while wire.reads and came < len(request):
        protocol.data_received(request[came : came + HIGH_WATER_LIMIT])
        came += HIGH_WATER_LIMIT
        await turn()
    assert came <= 3 * HIGH_WATER_LIMIT
    gone_on.set()
    await turn()
    assert wire.reads
    protocol.data_received(request[came:])
    await asyncio.wait_for(reader.ended.wait(), 5)
    assert reader.body == BODY * 4


async def test_a_body_that_comes_after_its_answer_is_thrown_away() -> None:
    async def hasty(scope: Message, receive: Any, send: Any) -> None:
        await send_bytes(send, 413, (), b"")

    protocol, wire = served(hasty)
    request = measured(BODY)
    protocol.data_received(request[:1_000])
    await turn()
    for at in range(1_000, len(request), 50_000):
        protocol.data_received(request[at : at + 50_000])
    assert wire.pauses == 0
    assert len(protocol.cycle.body) < 1_000
