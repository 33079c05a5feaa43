"""A listener of change notices hears what changed, once, then silence, and leaves when its client does."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

import msgspec
import pytest

from gateway.surfaces.http import Client
from gateway.surfaces.mcp_streams import Line, change_stream
from mcp_hub.capabilities import NOTHING
from mcp_hub.seams import UPDATED, Notification
from mcp_hub.subscriptions import MOST_NOTICES, Digests, Subscription, Subscriptions, Viewer
from policies.admission import Grants
from policies.identity import VirtualKey
from policies.types import Principal

pytestmark = pytest.mark.anyio

FOREVER_S = 1e6
BEFORE: Digests = {"tools": "a", "prompts": "a", "resources": "a"}
AFTER: Digests = {"tools": "b", "prompts": "a", "resources": "b"}


def unseen(_: Viewer) -> Any:
    raise AssertionError("nobody looks at a view here")


def subscription() -> Subscription:
    return Subscription(Subscriptions(unseen), Viewer(VirtualKey(Principal("k"), Grants(), ()), None, NOTHING), BEFORE)


def updated(uri: str) -> Notification:
    return Notification(UPDATED, {"uri": msgspec.Raw(f'"{uri}"'.encode())})


async def test_what_changed_is_told_once_and_then_there_is_silence() -> None:
    heard = subscription()
    waiting = asyncio.ensure_future(heard.next(FOREVER_S))
    await asyncio.sleep(0)
    heard.compare(AFTER)
    assert [notice.method for notice in await waiting] == [
        "notifications/resources/list_changed",
        "notifications/tools/list_changed",
    ]
    heard.compare(AFTER)
    assert await heard.next(0) == []


async def test_a_notice_that_waits_is_not_repeated_and_the_oldest_of_too_many_go() -> None:
    heard = subscription()
    for number in range(MOST_NOTICES + 3):
        heard.tell(updated(str(number)))
        heard.tell(updated(str(number)))
    told = await heard.next(FOREVER_S)
    assert told == [updated(str(number)) for number in range(3, MOST_NOTICES + 3)]


async def test_who_leaves_waits_no_longer() -> None:
    heard = subscription()
    waiting = asyncio.ensure_future(heard.next(FOREVER_S))
    await asyncio.sleep(0)
    heard.leave()
    assert (await waiting, await heard.next(FOREVER_S)) == ([], [])


async def test_a_key_that_was_revoked_is_told_nothing_more_and_its_stream_ends() -> None:
    heard, alive = subscription(), True
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    client = Client({"type": "http"}, receive, send)
    stream = asyncio.ensure_future(change_stream(Line(client, lambda: alive), heard))
    heard.tell(updated("first"))
    while len(sent) < 3:
        await asyncio.sleep(0)
    alive = False
    heard.tell(updated("second"))
    await stream
    assert [b"first" in message.get("body", b"") for message in sent[2:]] == [True, False]
    assert sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}
