"""Every feature in every cell: the vendors' own SDKs × strict vendors of every dialect, through one real gateway."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from tests.interaction.translation_cell import OWN, Cell
from tests.interaction.translation_endings import FEATURES
from tests.peers.strict_llm import StrictLLM
from tests.support.conversations import CannotSay, Refused
from tests.support.gateway import RunningGateway
from tests.support.surfaces.base import Client
from tests.support.surfaces.chat import ChatClient
from tests.support.surfaces.gemini import GeminiClient
from tests.support.surfaces.messages import MessagesClient
from tests.support.surfaces.responses import ResponsesClient
from tests.support.translation_table import CELLS, NO_WORD, YES, outcome_of, tables_in_docs, tables_of

pytestmark = pytest.mark.anyio

KEY = "vk-matrix-0123456789abcdef0123456789"
MODELS = {
    "openai": ("gpt-4.1", "router/gpt-5.2"),
    "openai responses": ("gpt-stored", "gpt-stored"),
    "anthropic": ("claude-sonnet-4-5", "claude-sonnet-4-5"),
    "gemini": ("gemini-3-flash-preview", "gemini-3-flash-preview"),
    "bedrock": ("bedrock-claude", "bedrock-claude"),
}
"""Of each vendor, and the one that shows its thoughts: chat completions show them at OpenRouter only."""
BEDROCK_MODEL = "anthropic.claude-sonnet-4-5-20250929-v1:0"


def _provider(name: str, models: str, more: str) -> str:
    """The provider, and the same once more that drops what it cannot express."""
    common = "api_key: vendor-secret, prices: free, breaker: {failures: 1000}"
    return f"""
      - {{name: {name}, {more}, {common}, allowed_models: [{models}]}}
      - {{name: {name}-dropping, {more}, {common}, unsupported: drop}}"""


@pytest.fixture(scope="module")
async def vendors() -> AsyncIterator[StrictLLM]:
    async with StrictLLM() as peer:
        yield peer


@pytest.fixture(scope="module")
async def gate(vendors: StrictLLM, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningGateway]:
    base = vendors.base
    alias = f'aliases: {{bedrock-claude: "{BEDROCK_MODEL}"}}'
    providers = (
        _provider("chat", '"gpt-4.1"', f'type: openai, base_url: "{base}/v1", responses: false')
        + _provider("routed", '"router/*"', f'type: openrouter, base_url: "{base}/v1", responses: false')
        + _provider("stored", '"gpt-stored"', f'type: openai, base_url: "{base}/v1"')
        + _provider("anthropic", '"claude-*"', f'type: anthropic, base_url: "{base}"')
        + _provider("gemini", '"gemini-*"', f'type: gemini, base_url: "{base}"')
        + _provider("aws", '"bedrock-*"', f'type: bedrock, base_url: "{base}", region: eu-central-1, {alias}')
    )
    yaml = f"""
    providers:{providers}
    virtual_keys: [{{key_name: matrix, key: {KEY}, allowed_models: ["*"]}}]
    """
    async with RunningGateway(yaml, tmp_path_factory.mktemp("matrix")) as running:
        yield running


@pytest.fixture(scope="module")
async def clients(gate: RunningGateway) -> AsyncIterator[dict[str, Client]]:
    """Closed at the end: an SDK that closes itself does so in some other test's loop."""
    made: list[Client] = [sdk(gate.address, KEY) for sdk in (ChatClient, ResponsesClient, MessagesClient, GeminiClient)]
    yield {client.surface: client for client in made}
    for client in made:
        await client.close()


DROPPING = {"openai": "chat", "openai responses": "stored", "bedrock": "aws"}


@pytest.mark.parametrize(("surface", "target"), CELLS, ids=lambda name: name.replace(" ", "-"))
@pytest.mark.parametrize("name", FEATURES)
async def test_the_feature_works_in_this_cell_or_is_refused_by_name(
    name: str, surface: str, target: str, clients: dict[str, Client], vendors: StrictLLM, gate: RunningGateway
) -> None:
    elsewhere = MODELS["anthropic" if target == "gemini" else "gemini"][1]  # Bedrock reads what Anthropic seals
    cell = Cell(clients[surface], target, *MODELS[target], elsewhere, vendors, gate)
    found = await _outcome(name, cell)
    assert found == outcome_of(name, surface, target)
    assert (surface, target) not in OWN or found in (YES, NO_WORD, "left out: `reasoning`")
    if found.startswith("refused"):
        model = f"{DROPPING.get(target, target)}-dropping/{BEDROCK_MODEL if target == 'bedrock' else cell.model}"
        dropping = replace(cell, model=model, lost=set())
        assert await _outcome(name, dropping) == found.replace("refused", "left out")


async def _outcome(name: str, cell: Cell) -> str:
    """What the cell does: works, leaves something out and names it, refuses it by name, or has no word for it."""
    try:
        await FEATURES[name](cell)
    except CannotSay:
        return NO_WORD
    except Refused as refused:
        named = re.search(r"cannot be asked for: (.+?)\. Leave it out", refused.message)
        assert named is not None, refused
        assert (refused.status, refused.code, cell.llm.told) == (400, "unsupported_feature", [])
        return f"refused: `{named[1]}`"
    return f"left out: `{', '.join(sorted(cell.lost))}`" if cell.lost else YES


def test_the_tables_in_the_documentation_are_these_cells() -> None:
    assert tables_in_docs() == tables_of(FEATURES)
