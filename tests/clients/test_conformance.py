"""The official conformance suite through the gate: both revisions, before members of both eras."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.clients.programs import client_program
from tests.support.gateway import ROOT, RunningGateway
from tests.support.key_proxy import KeyProxy
from tests.support.services import python_server

pytestmark = [pytest.mark.anyio, pytest.mark.client_programs]

KEY = "vk-suite-0123456789abcdef0123456789"
NOT_OFFERED = re.compile(r"^✗ (?!tasks-)(\S+)", re.MULTILINE)
"""Scenarios that failed, but for the tasks extension: the gate does not advertise it."""


@pytest.fixture(scope="module", params=["legacy", "modern"])
async def endpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The gate's endpoint of one server that speaks one era only."""
    async with python_server("-m", "tests.peers.everything_server", request.param) as port:
        yaml = f"""
    mcp_servers: {{every: {{url: "http://127.0.0.1:{port}/mcp"}}}}
    virtual_keys: [{{key_name: suite, key: {KEY}, allowed_tools: ["every/*"]}}]
    """
        async with (
            RunningGateway(yaml, tmp_path_factory.mktemp("gate")) as gate,
            KeyProxy(gate.address, KEY) as proxy,
        ):
            yield f"{proxy.address}/mcp/every"


async def run_suite(*arguments: str, scratch: Path) -> str:
    """What the suite printed; it must have ended well."""
    node = client_program("node")
    suite = Path(node).parent.parent / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
    run = await asyncio.create_subprocess_exec(
        node,
        str(suite),
        *arguments,
        cwd=scratch,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    told = (await run.communicate())[0].decode()
    assert run.returncode == 0, told[-4000:]
    return told


@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
async def test_every_required_scenario_passes(endpoint: str, revision: str, tmp_path: Path) -> None:
    """No list of expected failures: what the suite scores passes, and so does what it only reports."""
    told = await run_suite("server", "--url", endpoint, "--requirements", revision, scratch=tmp_path)
    assert "Total: " in told
    assert NOT_OFFERED.findall(told) == []


DOWNSTREAM = {
    "2025-11-25": (
        "initialize",
        "tools_call",
        "sse-retry",
        "elicitation-sep1034-client-defaults",
        "json-schema-2020-12-preservation",
    ),
    "2026-07-28": (
        "tools_call",
        "request-metadata",
        "http-standard-headers",
        "http-custom-headers",
        "http-invalid-tool-headers",
        "sep-2322-client-request-state",
        "json-schema-ref-no-deref",
        "json-schema-2020-12-preservation",
    ),
}
"""The client scenarios that concern a gate's downstream leg. The others are about OAuth, which the gate does not do
towards its servers: it sends the credentials that the operator configured."""


@pytest.mark.parametrize(("revision", "scenario"), [(r, s) for r, names in DOWNSTREAM.items() for s in names])
async def test_the_downstream_leg_passes_the_client_scenarios(revision: str, scenario: str, tmp_path: Path) -> None:
    client = f"{sys.executable} -m tests.clients.conformance_client"
    wanted = ("--scenario", scenario, "--spec-version", revision)
    told = await run_suite("client", "--command", client, *wanted, scratch=tmp_path)
    assert re.search(r"Passed: (\d+)/\1, 0 failed, 0 warnings", told), told[-2000:]
