"""What expires is fetched once for all who wait, in a thread, and before it ends."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from providers.credentials.base import CredentialsUnavailable
from providers.credentials.renewing import RENEW_BEFORE_S, USE_UNTIL_S, Renewing, Token

pytestmark = pytest.mark.anyio


class Source:
    """Gives tokens that end after the given times; each waits until it may be given."""

    def __init__(self, *lifetimes: float | CredentialsUnavailable) -> None:
        self.lifetimes = list(lifetimes)
        self.fetched = 0
        self.threads: set[int] = set()
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self) -> Token:
        self.threads.add(threading.get_ident())
        self.fetched += 1
        assert self.gate.wait(30)
        lifetime = self.lifetimes[self.fetched - 1]
        if isinstance(lifetime, CredentialsUnavailable):
            raise lifetime
        return Token(f"token-{self.fetched}", time.time() + lifetime)


async def until(done: object) -> None:
    while not done():  # type: ignore[operator]
        await asyncio.sleep(0)


LONG = RENEW_BEFORE_S + 3600
SOON = RENEW_BEFORE_S - 60
OVER = USE_UNTIL_S - 20


async def test_many_callers_at_once_wait_for_one_fetch_in_another_thread() -> None:
    source = Source(LONG)
    source.gate.clear()
    renewing = Renewing(source)
    waiting = [asyncio.create_task(renewing.get()) for _ in range(100)]
    await until(lambda: source.fetched)
    assert not any(task.done() for task in waiting)
    source.gate.set()
    assert {(await task).value for task in waiting} == {"token-1"}
    assert (await renewing.get()).value == "token-1"
    assert source.fetched == 1
    assert threading.get_ident() not in source.threads


async def test_what_ends_soon_is_given_at_once_while_its_successor_is_fetched() -> None:
    source = Source(SOON, LONG)
    renewing = Renewing(source)
    assert (await renewing.get()).value == "token-1"
    source.gate.clear()
    assert [(await renewing.get()).value for _ in range(5)] == ["token-1"] * 5
    await until(lambda: source.fetched == 2)
    source.gate.set()
    while (await renewing.get()).value == "token-1":
        await asyncio.sleep(0)
    assert source.fetched == 2


async def test_what_has_ended_is_not_given() -> None:
    source = Source(OVER, LONG)
    renewing = Renewing(source)
    await renewing.get()
    assert (await renewing.get()).value == "token-2"


async def test_a_failed_renewal_is_told_to_all_who_wait_and_tried_again_by_the_next() -> None:
    source = Source(CredentialsUnavailable("no"), LONG)
    source.gate.clear()
    renewing = Renewing(source)
    waiting = [asyncio.create_task(renewing.get()) for _ in range(3)]
    await until(lambda: source.fetched)
    source.gate.set()
    found = await asyncio.gather(*waiting, return_exceptions=True)
    assert [str(error) for error in found] == ["no"] * 3
    assert source.fetched == 1
    assert (await renewing.get()).value == "token-2"


async def test_a_failed_renewal_harms_nobody_while_the_old_one_lasts() -> None:
    source = Source(SOON, CredentialsUnavailable("no"), LONG)
    renewing = Renewing(source)
    await renewing.get()
    assert (await renewing.get()).value == "token-1"
    await until(lambda: source.fetched == 2)
    while (await renewing.get()).value == "token-1":
        await asyncio.sleep(0)
    assert source.fetched == 3


async def test_a_caller_that_leaves_takes_nobodys_fetch_away() -> None:
    source = Source(LONG)
    source.gate.clear()
    renewing = Renewing(source)
    leaver, stayer = (asyncio.create_task(renewing.get()) for _ in range(2))
    await until(lambda: source.fetched)
    leaver.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaver
    source.gate.set()
    assert (await stayer).value == "token-1"
    assert source.fetched == 1


def test_a_token_shows_nothing_of_itself() -> None:
    assert "s3cret" not in repr(Token("s3cret", 0.0))
