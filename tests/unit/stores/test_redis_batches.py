"""Steps in one batch: each caller has its own answer, an error reaches all of them, and nobody hangs."""

from __future__ import annotations

import asyncio
import itertools
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import redis.asyncio as client
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st

from policies.counters import Exhausted, Hold
from policies.outage import CountersUnavailable
from policies.stores.redis_counters import RedisCounters
from policies.stores.redis_link import Failed, RedisLink, Refused, Reply
from policies.tiers import Budget, Rate, Tier
from tests.support.money import MONTH, START_NS, need, tier
from tests.support.services import RedisServer, free_port, redis_server
from tests.unit.gateway.raw_peers import Authority

pytestmark = pytest.mark.anyio

ONE = tier("key", "one", Budget(10_000, MONTH), Rate("requests", 10_000, MONTH))


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path / "redis") as server:
        yield server


@pytest.fixture
async def shared(redis: RedisServer) -> AsyncIterator[RedisCounters]:
    counters = RedisCounters(redis.url)
    assert await counters.check() is None
    yield counters
    await counters.close()


async def meters(counters: RedisCounters, count: int, *tiers: Tier) -> list[object]:
    jobs = (counters.meter(tiers or (ONE,), ("requests",), START_NS) for _ in range(count))
    return await asyncio.gather(*jobs, return_exceptions=True)


async def use(counters: RedisCounters) -> tuple[int, int, int]:
    """(money used, money held, requests)."""
    money, requests = await counters.state((ONE,), START_NS)
    return money.used, money.held, requests.used


async def connections(redis: RedisServer) -> int:
    """All that were ever made, this one too."""
    async with client.Redis.from_url(redis.url) as raw:
        found: int = (await raw.info("stats"))["total_connections_received"]
    return found


async def scripts_run(redis: RedisServer) -> int:
    async with client.Redis.from_url(redis.url) as raw:
        found = await raw.info("commandstats")
    return sum(found.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("evalsha", "eval"))


async def test_steps_that_wait_together_leave_as_one_script(redis: RedisServer, shared: RedisCounters) -> None:
    await meters(shared, 1)
    before = await scripts_run(redis)
    assert await meters(shared, 80) == [None] * 80
    assert await scripts_run(redis) == before + 1
    assert await use(shared) == (0, 0, 81)


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
async def test_a_caller_that_leaves_disturbs_nobody_and_holds_nothing(shared: RedisCounters, turns: int) -> None:
    asked = [
        asyncio.ensure_future(shared.reserve((ONE,), (), need(f"leave-{n}", 10), START_NS)) for n in range(10)
    ]  # fmt: skip
    for _ in range(turns):  # before the batch leaves, and while it is under way
        await asyncio.sleep(0)
    asked[3].cancel()
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert isinstance(answers.pop(3), asyncio.CancelledError)
    assert all(isinstance(answer, Hold) for answer in answers)
    while (await use(shared))[1] != 90:
        await asyncio.sleep(0)
    # Its reserve, if it comes only now, finds the hold settled.
    if turns:
        await shared.reserve((ONE,), (), need("leave-3", 10), START_NS)
        assert (await use(shared))[1] == 90
    for answer in answers:
        assert isinstance(answer, Hold)
        await shared.settle(answer, 1, 0)
    assert (await use(shared))[:2] == (9, 0)


async def test_a_batch_that_fails_fails_for_every_step_and_changes_nothing(
    redis: RedisServer, shared: RedisCounters
) -> None:
    async with client.Redis.from_url(redis.url) as raw:
        await raw.set("tk:{tollkeeper}:t:team:broken", b"not ours")
    good, bad = await asyncio.gather(meters(shared, 5), meters(shared, 1, tier("team", "broken")))
    assert [str(error) for error in good + bad if "foreign data" in str(error)] == [str(bad[0])] * 6
    assert all(isinstance(error, CountersUnavailable) for error in good + bad)
    assert await use(shared) == (0, 0, 0)
    assert await meters(shared, 5) == [None] * 5


async def test_what_cannot_be_sent_fails_its_own_caller_alone(shared: RedisCounters) -> None:
    huge = shared.reserve((ONE,), (), need("huge", 2**70), START_NS)
    answers = await asyncio.gather(meters(shared, 3), huge, return_exceptions=True)
    assert answers[0] == [None] * 3
    assert isinstance(answers[1], OverflowError)


async def test_without_redis_every_caller_is_told_and_the_next_batch_works_when_it_is_back(
    redis: RedisServer, shared: RedisCounters
) -> None:
    assert await meters(shared, 2) == [None] * 2
    redis.stop()
    for _ in range(2):
        assert {type(answer) for answer in await meters(shared, 250)} == {CountersUnavailable}
    redis.start()
    assert await shared.check() is None
    assert await meters(shared, 250) == [None] * 250
    assert await use(shared) == (0, 0, 252)


async def test_when_redis_dies_under_a_batch_those_who_wait_behind_it_are_told_too(
    redis: RedisServer, shared: RedisCounters
) -> None:
    assert redis.process is not None
    redis.process.send_signal(signal.SIGSTOP)
    waiting = asyncio.ensure_future(meters(shared, 250))
    for _ in range(5):
        await asyncio.sleep(0)
    redis.stop()
    assert {type(answer) for answer in await waiting} == {CountersUnavailable}
    redis.start()
    assert await meters(shared, 3) == [None] * 3


async def test_a_redis_that_does_not_answer_is_waited_for_once(redis: RedisServer) -> None:
    counters = RedisCounters(f"{redis.url}?socket_timeout=0.2")
    assert await counters.check() is None
    assert redis.process is not None
    before = await connections(redis)
    redis.process.send_signal(signal.SIGSTOP)
    answers = await meters(counters, 250)
    assert {str(answer) for answer in answers} == {"no answer within 0.2 s"}
    redis.process.send_signal(signal.SIGCONT)
    assert await connections(redis) == before + 1  # this one: nobody has tried again
    assert await counters.check() is None
    assert await meters(counters, 3) == [None] * 3
    await counters.close()


async def test_scripts_that_redis_forgot_are_sent_again(redis: RedisServer, shared: RedisCounters) -> None:
    assert await meters(shared, 3) == [None] * 3
    async with client.Redis.from_url(redis.url) as raw:
        await raw.script_flush()
    assert await meters(shared, 150) == [None] * 150
    assert await use(shared) == (0, 0, 153)


async def test_a_connection_that_redis_closed_is_made_anew(redis: RedisServer, shared: RedisCounters) -> None:
    assert await meters(shared, 3) == [None] * 3
    async with client.Redis.from_url(redis.url) as raw:
        await raw.client_kill_filter(_type="normal", skipme=True)
    while shared._batches._link is not None:  # until this process has heard of it
        await asyncio.sleep(0)
    assert await meters(shared, 3) == [None] * 3


async def test_closing_ends_what_waits(redis: RedisServer, shared: RedisCounters) -> None:
    assert redis.process is not None
    redis.process.send_signal(signal.SIGSTOP)
    waiting = asyncio.ensure_future(meters(shared, 150))
    for _ in range(5):
        await asyncio.sleep(0)
    await shared.close()
    assert {str(answer) for answer in await waiting} == {"the counters are closed"}
    assert {str(answer) for answer in await meters(shared, 3)} == {"the counters are closed"}


async def test_the_address_says_password_and_database(redis: RedisServer) -> None:
    async with client.Redis.from_url(redis.url) as raw:
        await raw.config_set("requirepass", "a secret")
        counters = RedisCounters(redis.url.replace("//", "//:a%20secret@").replace("/0", "/3"))
        assert await meters(counters, 2) == [None] * 2
        await counters.close()
        wrong = RedisCounters(redis.url.replace("//", "//:wrong@"))
        (refused,) = await meters(wrong, 1)
        assert isinstance(refused, CountersUnavailable)
        assert "WRONGPASS" in str(refused)
        await wrong.close()
        assert (await raw.info("keyspace")).keys() == {"db3"}


async def test_a_rediss_address_is_spoken_to_with_tls_and_verified(redis: RedisServer, tmp_path: Path) -> None:
    authority = Authority.make(tmp_path)
    authority.serving("127.0.0.1")
    trusted, port = tmp_path / "authority.pem", free_port()
    trusted.write_bytes(authority.certificate.public_bytes(serialization.Encoding.PEM))
    async with client.Redis.from_url(redis.url) as raw:
        own = {f"tls-{name}-file": str(tmp_path / "127.0.0.1.pem") for name in ("cert", "key")}
        await raw.config_set(
            "tls-ca-cert-file", str(trusted), "tls-auth-clients", "no", *(x for pair in own.items() for x in pair)
        )
        await raw.config_set("tls-port", port)
    counters = RedisCounters(f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={trusted}")
    assert await meters(counters, 150) == [None] * 150
    stranger = RedisCounters(f"rediss://127.0.0.1:{port}/0")
    (refused,) = await meters(stranger, 1)
    assert isinstance(refused, CountersUnavailable)
    assert "certificate verify failed" in str(refused)
    for each in (counters, stranger):
        await each.close()


async def test_a_group_without_tiers_is_held_and_settled(shared: RedisCounters) -> None:
    assert await shared.meter((), ("requests",), START_NS) is None
    held = await shared.reserve((), (), need("nobody", 5), START_NS)
    assert isinstance(held, Hold)
    await shared.settle(held, 5, 0)


async def test_one_batch_may_hold_enlarge_and_settle_what_an_earlier_one_took(shared: RedisCounters) -> None:
    first = await shared.reserve((ONE,), (), need("first", 10), START_NS)
    second = await shared.reserve((ONE,), (), need("second", 10), START_NS)
    assert isinstance(first, Hold)
    assert isinstance(second, Hold)
    grown, _, third = await asyncio.gather(
        shared.extend(first, 50, 0, START_NS),
        shared.settle(second, 7, 0),
        shared.reserve((ONE,), (), need("third", 9_944), START_NS),
    )
    assert isinstance(grown, Hold)
    assert isinstance(third, Exhausted)  # 50 and 7 are taken: there is room for 9,943
    assert await use(shared) == (7, 50, 0)


REPLIES: list[tuple[bytes, Reply]] = [
    (b"+OK\r\n", b"OK"),
    (b":-12\r\n", -12),
    (b"$-1\r\n", None),
    (b"$0\r\n\r\n", b""),
    (b"$6\r\na\r\n+b\r\r\n", b"a\r\n+b\r"),
]


@given(st.lists(st.sampled_from(REPLIES)), st.lists(st.integers(0, 60)))
async def test_replies_are_read_however_they_are_cut(replies: list[tuple[bytes, Reply]], cuts: list[int]) -> None:
    link, lost = RedisLink(asyncio.get_running_loop(), lambda _, why: lost.append(why)), []  # type: ignore[var-annotated]
    link.connection_made(asyncio.Transport.__new__(_Sink))
    got: list[Reply] = []
    for _ in replies:
        link.send(b"", got.append)
    sent = b"".join(raw for raw, _ in replies)
    places = sorted({0, len(sent), *(cut for cut in cuts if cut < len(sent))})
    for begin, end in itertools.pairwise(places):
        link.data_received(sent[begin:end])
    assert got == [reply for _, reply in replies]
    assert lost == []
    link.end("done")


@pytest.mark.parametrize("noise", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"$x\r\n", b"*1\r\n:1\r\n"])
async def test_what_is_not_redis_ends_the_connection_and_every_command(noise: bytes) -> None:
    ended: list[str] = []
    link = RedisLink(asyncio.get_running_loop(), lambda _, why: ended.append(why))
    link.connection_made(asyncio.Transport.__new__(_Sink))
    got: list[Reply] = []
    for _ in range(3):
        link.send(b"", got.append)
    link.data_received(noise)
    assert len(got) == 3
    assert all(isinstance(reply, Failed) and not isinstance(reply, Refused) for reply in got)
    assert len(ended) == 1


class _Sink(asyncio.Transport):
    """Takes everything."""

    def write(self, data: bytes) -> None:  # type: ignore[override]
        pass

    def abort(self) -> None:
        pass
