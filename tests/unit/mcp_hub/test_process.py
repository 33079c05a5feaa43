"""A member's process: what is written to it."""

from __future__ import annotations

import asyncio

import pytest

from mcp_hub.upstream.process import ChildProcess

pytestmark = pytest.mark.anyio


class Pipe(asyncio.WriteTransport):
    """A standard input that remembers its writes."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True


def child_on(pipe: Pipe) -> ChildProcess:
    child = ChildProcess(lambda _: None, lambda _: None)
    child._stdin = pipe
    return child


async def test_lines_of_one_turn_leave_in_order_with_one_write() -> None:
    pipe = Pipe()
    child = child_on(pipe)
    child.write(b"one")
    child.write(b"two")
    await asyncio.sleep(0)
    assert pipe.written == [b"one\ntwo\n"]
    child.write(b"three")
    await asyncio.sleep(0)
    assert pipe.written == [b"one\ntwo\n", b"three\n"]


async def test_what_was_written_last_leaves_before_the_input_ends() -> None:
    pipe = Pipe()
    child = child_on(pipe)
    child.write(b"goodbye")
    child.exited.set()
    await child.stop()
    assert (pipe.written, pipe.closed) == ([b"goodbye\n"], True)


async def test_lines_to_a_child_that_is_gone_are_dropped() -> None:
    pipe = Pipe()
    child = child_on(pipe)
    pipe.close()
    child.write(b"lost")
    await asyncio.sleep(0)
    assert pipe.written == []
