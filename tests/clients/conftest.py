"""Fixtures of the tests that run real clients."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.clients.upstreams import KEY, gate_to
from tests.peers.scripted_llm import ScriptedLLM
from tests.support.gateway import RunningGateway


@pytest.fixture(scope="module")
async def shared_abroad(
    shared_llm: ScriptedLLM, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RunningGateway]:
    async with gate_to(shared_llm, tmp_path_factory.mktemp("abroad")) as running:
        await has_tools(running)
        yield running


async def has_tools(gate: RunningGateway) -> None:
    """Some clients list the tools once, when they start. The gate itself waits a moment for a server that begins."""
    for _ in range(20):
        if await gate.tools(KEY) == ["lab__add"]:
            return
    raise RuntimeError(f"the tool's server did not begin:\n{gate.log.read_text()}")


@pytest.fixture
def abroad(shared_abroad: RunningGateway, llm: ScriptedLLM) -> RunningGateway:
    """The module's gate to upstreams of every kind; its ledger tells only of this test."""
    shared_abroad.mark()
    return shared_abroad
