"""Where a common case is handled without the whole work, it comes to the same as the whole work."""

from __future__ import annotations

import asyncio
import json

import msgspec
import pytest

from mcp_hub.upstream.deadline import Deadlines, TaskDeadline
from mcp_hub.wire import legacy, modern
from mcp_hub.wire.client_sessions import ClientFacts, ClientSession
from mcp_hub.wire.messages import WireError, read_message
from policies.flight import Flight

pytestmark = pytest.mark.anyio

REQUEST = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "é", "arguments": {"a": [1, {}]}}}


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": "), (" ,\n", "\t:")])
@pytest.mark.parametrize("ascii_only", [True, False])
def test_a_request_means_the_same_however_it_is_spaced(separators: tuple[str, str], ascii_only: bool) -> None:
    body = json.dumps(REQUEST, separators=separators, ensure_ascii=ascii_only).encode()
    found = read_message(body)
    assert (found.method, found.request_id) == ("tools/call", b"7")
    assert {name: msgspec.json.decode(raw) for name, raw in found.params.items()} == REQUEST["params"]


@pytest.mark.parametrize(
    "body",
    [
        b'{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}',
        b'{"jsonrpc":"2.0","id":1,"method":"ping","\\u006dethod":"ping"}',
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","name":"a"}}',
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","Name":"b"}}',
    ],
)
def test_a_key_that_comes_twice_or_in_another_case_is_refused(body: bytes) -> None:
    with pytest.raises(WireError) as refused:
        read_message(body)
    assert refused.value.data == {"code": "ambiguous_body"}


@pytest.mark.parametrize("result", [b"{}", b"{ }", b'{"content":[]}', b'{"content":[] }', b'{"a":"resultType"}'])
def test_a_result_of_an_older_member_gets_its_type(result: bytes) -> None:
    before = msgspec.json.decode(result)
    completed = modern.complete(msgspec.Raw(result))
    assert msgspec.json.decode(completed) == {**before, "resultType": "complete"}
    assert completed.count(b'"resultType":') == 1


def test_a_result_that_only_speaks_of_modern_fields_passes_untouched() -> None:
    result = b'{"content":[{"type":"text","text":"say \\"resultType\\""}], "isError":false}'
    assert legacy.older(msgspec.Raw(result)) == result
    assert msgspec.json.decode(legacy.older(msgspec.Raw(b'{"content":[],"resultType":"complete"}'))) == {"content": []}


async def test_a_session_keeps_no_call_that_was_answered() -> None:
    session = ClientSession("id", "key", None, ClientFacts("2025-11-25"), 0)
    release = asyncio.Event()

    async def work(_: Flight[str]) -> str:
        await release.wait()
        return "a large result"

    flight: Flight[str] = Flight(on_abandon="keep")
    flight.start(work)
    session.departs(b"1", flight)
    session.answered_call(b"1")
    assert session.busy, "a call that goes on can still be cancelled"
    release.set()
    await flight.wait()
    session.answered_call(b"1")
    session.cancel(b"1")
    assert not session.busy
    assert not session._flights


async def test_a_deadline_that_passes_ends_what_is_awaited_and_says_so() -> None:
    limit = TaskDeadline(Deadlines(), 0.0)
    with pytest.raises(asyncio.CancelledError):
        await asyncio.Event().wait()
    assert limit.passed()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0, "the task goes on as if nobody had cancelled it"


async def test_a_caller_that_leaves_is_not_taken_for_a_deadline() -> None:
    found: list[bool] = []
    waiting = asyncio.Event()

    async def call() -> None:
        limit = TaskDeadline(Deadlines(), 60.0)
        waiting.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            found.append(limit.passed())
            raise
        finally:
            limit.stop()

    task = asyncio.create_task(call())
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert found == [False]
