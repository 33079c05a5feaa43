"""Every feature in every cell: client era × member era × transport, through a real gateway process, before members
that speak one era only."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.interaction.era_features import FEATURES, Cell
from tests.support.era_table import MEMBERS, table_in_docs, table_of
from tests.support.gateway import ROOT, RunningGateway
from tests.support.mcp_clients import connect
from tests.support.services import free_port, wait_for_port

pytestmark = pytest.mark.anyio

KEY = "vk-cells-0123456789abcdef0123456789"


@pytest.fixture(scope="module", params=MEMBERS, ids=lambda member: "-".join(member))
async def member(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[RunningGateway, str, str]]:
    """A gateway before one server of one era over one transport."""
    era, transport = request.param
    program = ("-m", "tests.peers.everything_server", era)
    server = None
    if transport == "stdio":
        entry = f'command: "{sys.executable}", args: {list(program)}, env: {{PYTHONPATH: "{ROOT}"}}, roots: true'
    else:
        port = free_port()
        listen = (str(port), *(("sse",) if transport == "sse" else ()))
        server = await asyncio.create_subprocess_exec(sys.executable, *program, *listen, cwd=ROOT)
        await wait_for_port(port)
        entry = f'url: "http://127.0.0.1:{port}/mcp", transport: {transport}'
    yaml = f"""
    mcp_servers: {{every: {{{entry}, prefix: e, timeout: 30}}}}
    virtual_keys: [{{key_name: cells, key: {KEY}, allowed_tools: ["every/*"]}}]
    """
    try:
        async with RunningGateway(yaml, tmp_path_factory.mktemp("gate")) as gate:
            yield gate, era, transport
    finally:
        if server is not None:
            server.kill()
            await server.wait()


@pytest.mark.parametrize("client_era", ["modern", "legacy"])
@pytest.mark.parametrize("name", FEATURES)
async def test_the_feature_works_in_this_cell(
    member: tuple[RunningGateway, str, str], client_era: str, name: str, tmp_path: Path
) -> None:
    gate, member_era, transport = member
    path = "/mcp" if name == "elicitation by form" else "/mcp/every"
    client = await connect(client_era, gate.http, KEY, path)
    if path == "/mcp":
        client = _prefixed(client)
    await FEATURES[name](Cell(client, client_era, member_era, transport, tmp_path))


def _prefixed(client):  # type: ignore[no-untyped-def]
    """The same client, for the endpoint where names carry the server's prefix."""
    request = client.request

    async def prefixed(method, params, answer=None):  # type: ignore[no-untyped-def]
        if "name" in params:
            params = {**params, "name": f"e__{params['name']}"}
        return await request(method, params, answer)

    client.request = prefixed
    return client


def test_the_table_in_the_documentation_is_this_list() -> None:
    assert table_in_docs() == table_of(FEATURES)
