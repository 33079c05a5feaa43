"""How much work one MCP request is, counted in function calls, not in seconds: a regression shows on any machine.

The bounds are what was counted when they were written (348 for a call, 102 and 98 for a list) and about a tenth, so
that a small feature fits, and a loop over tools, a second walk through the body or another layer does not.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.surfaces.http import DEPARTURE
from tests.support.mcp_house import McpHouse, MemberScript, Request, count_calls

pytestmark = pytest.mark.anyio

ROUNDS = 20
SLACK = 8
"""Calls that a new minute of a rolling window may cost; one loop over what grew would be fifty at least."""
TOOL = "server0__tool_3"


@asynccontextmanager
async def house(
    *, modern: bool = False, stdio: bool = False, tools: int = 10, servers: int = 1
) -> AsyncIterator[McpHouse]:
    async with McpHouse.of(MemberScript(tools, modern), servers=servers, stdio=stdio) as built:
        yield built


async def work_of(built: McpHouse, method: str, *, modern: bool) -> float:
    """Calls per request, once everything is warm."""
    request = await Request.of(built, method, modern=modern, tool=TOOL if method == "tools/call" else "")
    warm = await built.exchange(request.scope, request.body)
    assert warm.status == 200
    assert b'"error"' not in warm.body

    async def rounds() -> None:
        for _ in range(ROUNDS):
            await built.exchange(request.scope, request.body)

    return await count_calls(rounds) / ROUNDS


@pytest.mark.parametrize("client", ["modern", "legacy"])
@pytest.mark.parametrize("member", ["modern", "legacy"])
@pytest.mark.parametrize(("stdio", "most"), [(False, 380), (True, 380)], ids=["http", "stdio"])
async def test_a_tool_call_is_a_bounded_amount_of_work(client: str, member: str, stdio: bool, most: int) -> None:
    async with house(modern=member == "modern", stdio=stdio) as built:
        assert await work_of(built, "tools/call", modern=client == "modern") <= most
        assert built.books.opened == built.books.recorded == ROUNDS + 1, "no call without its row"


@pytest.mark.parametrize("client", ["modern", "legacy"])
@pytest.mark.parametrize("stdio", [False, True], ids=["http", "stdio"])
async def test_tool_calls_leave_no_circles_for_the_collector(client: str, stdio: bool) -> None:
    """What is in a circle is freed late, and looking for it stops every call."""
    async with house(stdio=stdio) as built:
        request = await Request.of(built, "tools/call", modern=client == "modern", tool=TOOL)
        scope = {**request.scope, "extensions": {DEPARTURE: lambda _: None}}  # as our server's protocol has it
        await built.exchange(scope, request.body)
        gc.collect()
        gc.disable()
        try:
            for _ in range(ROUNDS):
                await built.exchange(scope, request.body)
            await asyncio.sleep(0)
            assert gc.collect() < ROUNDS
        finally:
            gc.enable()


@pytest.mark.parametrize(("client", "most"), [("modern", 112), ("legacy", 108)])
async def test_a_list_is_served_from_prepared_bytes(client: str, most: int) -> None:
    async with house(tools=200) as built:
        assert await work_of(built, "tools/list", modern=client == "modern") <= most


@pytest.mark.parametrize("method", ["tools/call", "tools/list"])
@pytest.mark.parametrize("client", ["modern", "legacy"])
async def test_work_does_not_grow_with_the_number_of_tools(method: str, client: str) -> None:
    async with house(tools=10) as few, house(tools=10_000) as many:
        before = await work_of(few, method, modern=client == "modern")
        assert await work_of(many, method, modern=client == "modern") == pytest.approx(before, abs=SLACK)


@pytest.mark.parametrize("method", ["tools/call", "tools/list"])
@pytest.mark.parametrize("client", ["modern", "legacy"])
async def test_work_does_not_grow_with_the_number_of_servers(method: str, client: str) -> None:
    async with house(servers=1) as few, house(servers=50) as many:
        before = await work_of(few, method, modern=client == "modern")
        assert await work_of(many, method, modern=client == "modern") == pytest.approx(before, abs=SLACK)


@pytest.mark.parametrize("method", ["tools/call", "tools/list"])
async def test_work_does_not_grow_with_the_number_of_open_sessions(method: str) -> None:
    async with house() as built:
        before = await work_of(built, method, modern=False)
        for _ in range(5_000):
            await built.initialize()
        assert await work_of(built, method, modern=False) == pytest.approx(before, abs=SLACK)
        assert len(built.sessions) > 5_000
