"""Fixtures shared by all tests."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator

import pytest
from hypothesis import settings

from tests.peers.scripted_llm import ScriptedLLM

settings.register_profile("plain", max_examples=200, deadline=None)
settings.register_profile("prove", max_examples=10_000, deadline=None)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--prove", action="store_true", help="the long figures: `make prove`")


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("prove" if config.getoption("--prove") else "plain")
    # A shell that runs the tests in the background has them ignore it, and with them every program that they start.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def proving(request: pytest.FixtureRequest) -> bool:
    """Whether the long counts are wanted."""
    return bool(request.config.getoption("--prove"))


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
