"""A guard against slow starts and large processes that no clock is needed for: what a start loads, counted.

A real gateway of its own process says what it imports (``python -X importtime``). What is not configured is not loaded;
what only some requests need is loaded when the first of them comes.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bench.gate import KEY, YAML
from tests.peers.scripted_llm import ScriptedLLM
from tests.support.gateway import ROOT, RunningGateway

pytestmark = pytest.mark.anyio

IMPORTED = re.compile(r"^import time:[ \d]+\|[ \d]+\| +(\S+)$", re.MULTILINE)
HEAVY = {
    *("fastapi", "starlette", "prometheus_client", "opentelemetry"),  # with the admin application
    *("genai_prices", "httpx", "httpx2"),  # with listed prices
    *("alembic", "psycopg"),  # with migrations, and with PostgreSQL
    *("redis", "numpy", "onnxruntime", "tokenizers", "qdrant_client", "weaviate"),  # with their stores
    *("botocore", "google", "azure", "requests", "aiohttp"),  # with the clouds
    *("pygments", "typer", "mcp", "pytest"),  # never; pygments is rich's, which structlog asks for
}
MOST_MODULES = 870
"""A tenth above what a start loaded when this was set. Each costs about half a millisecond."""


@pytest.fixture
async def gate(llm: ScriptedLLM, tmp_path: Path) -> AsyncIterator[RunningGateway]:
    """Everything that governs is on, and nothing that another store, vendor or cloud is needed for."""
    yaml = YAML.format(port=llm.base.rpartition(":")[2], key=KEY, more="cache: {enabled: true}")
    async with RunningGateway(yaml, tmp_path, {"PYTHONPROFILEIMPORTTIME": "1"}) as running:
        yield running


def loaded(gate: RunningGateway) -> set[str]:
    return set(IMPORTED.findall(gate.log.read_text()))


def heavy(modules: set[str]) -> set[str]:
    return HEAVY & {name.partition(".")[0] for name in modules}


async def test_a_start_and_calls_load_nothing_that_is_not_configured(gate: RunningGateway) -> None:
    modules = loaded(gate)
    print(f"{len(modules)} modules")
    assert "gateway.composition" in modules
    assert "sqlalchemy.dialects.postgresql" not in modules
    assert heavy(modules) == set()
    assert len(modules) <= MOST_MODULES
    headers = {"authorization": f"Bearer {KEY}"}
    body = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
    assert (await gate.http.post("/v1/chat/completions", headers=headers, json=body)).status_code == 200
    assert (await gate.http.get("/v1/models", headers=headers)).status_code == 200
    assert (await gate.http.get("/healthz")).json() == {"status": "ok"}
    assert (await gate.http.get("/readyz")).json() == {"status": "ready", "reasons": []}
    assert heavy(loaded(gate)) == set()


async def test_the_admin_application_comes_with_its_first_requests_and_is_closed_from_the_first(
    gate: RunningGateway,
) -> None:
    asked = [gate.http.get("/api/doctor"), *(gate.admin("GET", "/api/doctor") for _ in range(4))]
    answers = await asyncio.gather(*asked, gate.admin("GET", "/metrics"), gate.http.get("/nowhere"))
    assert [answer.status_code for answer in answers] == [401, 200, 200, 200, 200, 200, 404]
    assert answers[-1].json() == {"error": {"code": "unknown_route", "message": "Not Found: /nowhere"}}
    assert {"fastapi", "prometheus_client"} <= heavy(loaded(gate))
    assert not {"alembic", "numpy", "pygments"} & heavy(loaded(gate))


async def test_health_is_asked_with_get(gate: RunningGateway) -> None:
    answer = await gate.http.post("/healthz")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
    assert answer.json() == {"error": {"code": "method_not_allowed", "message": "Method Not Allowed: /healthz"}}


async def test_problems_of_a_configuration_are_told_before_the_gateway_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("providers: [{nam: openai}]")
    command = [sys.executable, "-X", "importtime", "-m", "gateway.server", "--config", str(tmp_path / "bad.yaml")]
    done = subprocess.run(
        [*command, "--state", str(tmp_path / "state")], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "nam" in IMPORTED.sub("", done.stderr)
    assert not {"gateway.composition", "uvicorn", "structlog"} & set(IMPORTED.findall(done.stderr))
    assert not (tmp_path / "state").exists()
