"""Fixtures shared by all tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.peers.scripted_llm import ScriptedLLM


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def shared_llm() -> AsyncIterator[ScriptedLLM]:
    async with ScriptedLLM() as peer:
        yield peer


@pytest.fixture
def llm(shared_llm: ScriptedLLM) -> ScriptedLLM:
    """The module's scripted provider, forgetful of earlier tests."""
    shared_llm.reset()
    return shared_llm
