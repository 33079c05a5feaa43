"""Steps that wait at the same time leave as one script call (``redis_counters.lua``), in the order in which they came.

What is queued in one turn of the event loop leaves at its end; while ``MOST_FLYING`` batches are under way the next
one grows. A batch that fails fails for every step of it, and with the connection all that waits.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from policies.outage import CountersUnavailable
from policies.stores.redis_link import Address, Failed, RedisLink, Refused, Reply, bulk
from policies.stores.redis_parties import PREFIX, Party

MOST_STEPS = 100
"""Of one batch: Redis serves nobody else while it runs one."""
MOST_FLYING = 2
"""One more than one: the next is on its way while the first is answered. More would only make them smaller."""
CLOSED = "the counters are closed"
SETTLED_MS = 24 * 3600 * 1000

_SCRIPT = b"".join((Path(__file__).parent / f"redis_{part}.lua").read_bytes() for part in ("windows", "counters"))
_BY_DIGEST = bulk(b"EVALSHA") + bulk(hashlib.sha1(_SCRIPT, usedforsecurity=False).hexdigest().encode())
_WHOLE = bulk(b"EVAL") + bulk(_SCRIPT)
_OPEN = f"{PREFIX}h:"
_KEYS = (bulk(f"{PREFIX}clock".encode()), bulk(f"{PREFIX}holds".encode()))
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode

Answer = Any
"""0 or a time for what was done, else why not (``redis_counters.lua``)."""
_Step = tuple[asyncio.Future[Answer], Party, msgspec.Raw, bytes | None]


class Batches:
    """Composed once per process, used on one event loop."""

    def __init__(self, url: str, lease_ms: int) -> None:
        self._address = Address(url)
        self._lease_ms = lease_ms
        self._queue: deque[_Step] = deque()
        self._flying = 0
        self._leaving = False
        self._link: RedisLink | None = None
        self._opening: asyncio.Task[None] | None = None
        self._why = ""
        """Why there is no connection."""
        self._closed = False

    def put(self, party: Party, step: tuple[Any, ...], hold_id: str | None = None) -> asyncio.Future[Answer]:
        """Queue a step: {name, now in ms, what the script's function of that name takes}. The future raises
        ``CountersUnavailable``; whoever cancels it does not take the step back."""
        loop = asyncio.get_running_loop()
        raw = msgspec.Raw(_encode(step))
        hold = bulk(f"{_OPEN}{hold_id}".encode()) if hold_id is not None else None
        future: asyncio.Future[Answer] = loop.create_future()
        self._queue.append((future, party, raw, hold))
        if not self._leaving and self._flying < MOST_FLYING:
            self._leaving = True
            loop.call_soon(self._leave)
        return future

    async def ask(self, *words: bytes) -> bytes | int | None:
        """A command of its own. Raises ``Refused``, or ``CountersUnavailable``."""
        if self._link is None:
            # Not the caller's own: others may wait for the same connection.
            await asyncio.shield(self._open_soon())
        if self._link is None:
            raise CountersUnavailable(self._why)
        try:
            return await self._link.ask(*words)
        except Refused:
            raise
        except Failed as error:
            raise CountersUnavailable(str(error)) from None

    async def close(self) -> None:
        """What waits is told so, and what comes yet."""
        self._closed = True
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait((self._opening,))
        if self._link is not None:
            self._link.end(CLOSED)
        self._fail_queue(CLOSED)

    def _leave(self) -> None:
        self._leaving = False
        link = self._link
        if self._closed:
            self._fail_queue(CLOSED)
            return
        if link is None:
            if self._queue:
                self._open_soon()
            return
        while self._queue and self._flying < MOST_FLYING and self._link is link:
            batch = [self._queue.popleft() for _ in range(min(len(self._queue), MOST_STEPS))]
            count, words = self._words(batch)
            self._flying += 1
            link.send(b"*%d\r\n%b%b" % (count, _BY_DIGEST, words), partial(self._answered, link, batch, count, words))

    def _words(self, batch: list[_Step]) -> tuple[int, bytes]:
        """What follows the script's name: how many words the command has, and they."""
        parties: dict[Party, int] = {}
        places: dict[int, int] = {}
        keys, holds = [*_KEYS], []
        tiers: list[msgspec.Raw] = []
        groups: list[list[int]] = []
        steps: list[tuple[int, msgspec.Raw]] = []
        for _, party, raw, hold in batch:
            number = parties.get(party)
            if number is None:
                for one in party.encoded:
                    if id(one) not in places:
                        keys.append(one.key)
                        tiers.append(one.argument)
                        places[id(one)] = len(tiers)
                groups.append([places[id(one)] for one in party.encoded])
                number = parties[party] = len(groups)
            steps.append((number, raw))
            if hold is not None:
                holds.append(hold)
        keys += holds
        argument = _encode((_OPEN, self._lease_ms, SETTLED_MS, tiers, groups, steps))
        return len(keys) + 4, b"%b%b%b" % (bulk(b"%d" % len(keys)), b"".join(keys), bulk(argument))

    def _answered(self, link: RedisLink, batch: list[_Step], count: int, words: bytes, reply: Reply) -> None:
        if isinstance(reply, Refused) and str(reply).startswith("NOSCRIPT"):
            # Nothing of it ran: Redis was restarted or its scripts were flushed.
            link.send(b"*%d\r\n%b%b" % (count, _WHOLE, words), partial(self._answered, link, batch, count, words))
            return
        self._flying -= 1
        answers = _answers(reply, len(batch))
        if isinstance(answers, str):
            _fail(batch, answers)
            if not isinstance(reply, Refused):
                self._fail_queue(answers)
        else:
            for (future, *_), answer in zip(batch, answers, strict=True):
                if not future.done():
                    future.set_result(answer)
        if self._queue and not self._leaving:
            # After those who now go on: their next steps leave with it.
            self._leaving = True
            asyncio.get_running_loop().call_soon(self._leave)

    def _open_soon(self) -> asyncio.Task[None]:
        if self._opening is None:
            self._opening = asyncio.get_running_loop().create_task(self._open(), name="counter store connection")
        return self._opening

    async def _open(self) -> None:
        try:
            self._link = await self._address.open(self._lost)
        except (Failed, OSError, UnicodeError) as error:
            self._why = str(error) or type(error).__name__
            self._fail_queue(self._why)
        finally:
            self._opening = None
        self._leave()

    def _lost(self, link: RedisLink, why: str) -> None:
        if link is self._link:
            self._link = None
            self._why = why

    def _fail_queue(self, why: str) -> None:
        waiting = list(self._queue)
        self._queue.clear()
        _fail(waiting, why)


def _answers(reply: Reply, count: int) -> list[Answer] | str:
    """One for each step, or why there are none."""
    if not isinstance(reply, bytes):
        return str(reply)
    try:
        answers = _decode(reply)
    except msgspec.DecodeError as error:
        return f"an answer that is not the script's: {error}"
    return answers if isinstance(answers, list) and len(answers) == count else "an answer that is not the script's"


def _fail(batch: list[_Step], why: str) -> None:
    for future, *_ in batch:
        if not future.done():
            future.set_exception(CountersUnavailable(why))
