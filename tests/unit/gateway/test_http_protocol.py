"""What is written in one turn of the loop leaves in one call, in its order, and before the connection closes."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.http_protocol import OneWriteProtocol, OneWriteTransport

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
