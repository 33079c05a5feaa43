"""One connection to Redis: commands leave in the order in which they are given, and answers come in that order.

Counters are asked three times a call, and what redis-py spends on a command is more than the checks of a whole call;
it reads the address here, and nothing else. An answer is never an array: scripts answer in MessagePack.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from redis.asyncio.connection import ConnectionPool, SSLConnection

TIMEOUT_S = 1.0
"""To connect, and for every answer, unless the address says otherwise (``?socket_timeout=``)."""


class Failed(Exception):
    """A command that Redis refused, or that was not answered; the message says why. Also given as a value."""


class Refused(Failed):
    """Redis answered with an error: nothing is wrong with the connection."""


Reply = bytes | int | None | Failed
Answered = Callable[[Reply], None]


def bulk(word: bytes) -> bytes:
    """One argument of a command, as it is sent."""
    return b"$%d\r\n%b\r\n" % (len(word), word)


def command(*words: bytes) -> bytes:
    """A whole command, as it is sent."""
    return b"*%d\r\n%b" % (len(words), b"".join(map(bulk, words)))


class RedisLink(asyncio.Protocol):
    """``lost`` is called once, when the connection has ended, after every waiting command was told."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, lost: Callable[[RedisLink, str], None], timeout_s: float = TIMEOUT_S
    ) -> None:
        self._loop = loop
        self._lost = lost
        self._timeout_s = timeout_s
        self._transport: asyncio.Transport | None = None
        self._unread = b""
        self._waiting: deque[tuple[Answered, float]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self.ended = False

    def send(self, sent: bytes, answered: Answered) -> None:
        """``answered`` is called once, with the reply or with why there is none."""
        if self._transport is None or self.ended:
            answered(Failed("the connection is closed"))
            return
        ends = self._loop.time() + self._timeout_s
        self._waiting.append((answered, ends))
        if self._timer is None:
            self._timer = self._loop.call_at(ends, self._look)
        self._transport.write(sent)

    async def ask(self, *words: bytes) -> bytes | int | None:
        """One command. Raises ``Failed``."""
        future: asyncio.Future[Reply] = self._loop.create_future()
        self.send(command(*words), lambda reply: None if future.done() else future.set_result(reply))
        reply = await future
        if isinstance(reply, Failed):
            raise reply
        return reply

    def end(self, why: str) -> None:
        """Close the connection; what waits for an answer is told ``why``."""
        if self.ended:
            return
        self.ended = True
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.abort()
        while self._waiting:
            self._waiting.popleft()[0](Failed(why))
        self._lost(self, why)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:
        self.end(str(exc) if exc is not None else "Redis closed the connection")

    def data_received(self, data: bytes) -> None:
        self._unread = self._unread + data if self._unread else data
        while self._unread and not self.ended:
            found = self._reply()
            if found is None:
                return
            reply, end = found
            self._unread = self._unread[end:]
            if not self._waiting:
                self.end("Redis answered without being asked")
            elif isinstance(reply, Failed) and not isinstance(reply, Refused):
                self.end(str(reply))
            else:
                self._waiting.popleft()[0](reply)

    def _reply(self) -> tuple[Reply, int] | None:
        """The first reply and where it ends; ``None`` if it is not complete."""
        unread = self._unread
        line = unread.find(b"\r\n")
        if line < 0:
            return None
        kind, said, end = unread[:1], unread[1:line], line + 2
        if kind == b"+":
            return said, end
        if kind == b"-":
            return Refused(said.decode(errors="replace")), end
        if kind in b"$:" and said.lstrip(b"-").isdigit():
            number = int(said)
            if kind == b":":
                return number, end
            if number < 0:
                return None, end
            if len(unread) < end + number + 2:
                return None
            return unread[end : end + number], end + number + 2
        return Failed("an answer that is not Redis's"), len(unread)

    def _look(self) -> None:
        self._timer = None
        if not self._waiting:
            return
        ends = self._waiting[0][1]
        if ends <= self._loop.time():
            self.end(f"no answer within {self._timeout_s:g} s")
        else:
            self._timer = self._loop.call_at(ends, self._look)


class Address:
    """Where Redis is, and as whom to speak to it: what a ``redis://`` or ``rediss://`` address says."""

    def __init__(self, url: str) -> None:
        pool = ConnectionPool.from_url(url, socket_timeout=TIMEOUT_S)
        read: Any = pool.connection_class(**pool.connection_kwargs)
        self._host: str = read.host
        self._port: int = read.port
        self._timeout_s: float = read.socket_timeout
        self._ssl = read.ssl_context if isinstance(read, SSLConnection) else None
        names = [read.username] if read.username else []
        self._login = [word.encode() for word in (*names, read.password or "")] if names or read.password else []
        self._database = int(read.db)

    async def open(self, lost: Callable[[RedisLink, str], None]) -> RedisLink:
        """A connection that is ready. Raises ``Failed``, ``OSError`` (a time-out is one) or ``UnicodeError`` (of a
        name that none can have)."""
        loop = asyncio.get_running_loop()
        ssl = self._ssl.get() if self._ssl is not None else None
        async with asyncio.timeout(self._timeout_s):
            _, link = await loop.create_connection(
                lambda: RedisLink(loop, lost, self._timeout_s), self._host, self._port, ssl=ssl
            )
            try:
                if self._login:
                    await link.ask(b"AUTH", *self._login)
                if self._database:
                    await link.ask(b"SELECT", b"%d" % self._database)
            except BaseException:
                link.end("it could not be opened")
                raise
        if link.ended:
            raise Failed("Redis closed the connection")
        return link
