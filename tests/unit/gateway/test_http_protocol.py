"""What is written in one turn of the loop leaves in one call, in its order, and before the connection closes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.http_protocol import OneWriteTransport

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
