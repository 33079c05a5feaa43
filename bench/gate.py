"""Processes of a benchmark: the mock and gateways, each on its own core, and what they use."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import psutil
import uvloop

T = TypeVar("T")

ROOT = Path(__file__).parent.parent
KEY = "vk-bench-0123456789abcdef0123456789"
READY_S = 120.0
MODELS = """
providers:
  - {{name: lab, type: openai, base_url: "http://127.0.0.1:{port}/v1", api_key: sk-lab, allowed_models: ["m"],
      prices: {{m: {{input_per_million: 0.15, output_per_million: 0.6}}}}, budget_limit: 1000000, budget_duration: 1M,
      rate_limit: {{request_limit: 1000000000, request_limit_duration: 1h}}}}
  - {{name: claude, type: anthropic, base_url: "http://127.0.0.1:{port}", api_key: sk-claude, allowed_models: ["c"],
      prices: {{c: {{input_per_million: 3, output_per_million: 15}}}}, budget_limit: 1000000, budget_duration: 1M}}
customers: [{{name: acme, budget_limit: 1000000, budget_duration: 1M}}]
teams: [{{name: research, customer: acme, budget_limit: 1000000, budget_duration: 1M}}]
virtual_keys:
  - {{key_name: bench, key: {key}, team: research, allowed_models: ["*"], allowed_tools: ["*"],
      budget_limit: 1000000, budget_duration: 1M,
      rate_limit: {{request_limit: 1000000000, request_limit_duration: 1h,
                    token_limit: 1000000000000, token_limit_duration: 1d}}}}
{more}
"""
"""Everything on: key, grants, four tiers with budgets, request and token rates, ledger, metrics. No MCP server."""
YAML = (
    MODELS
    + """
mcp_servers:
  lab: {{url: "http://127.0.0.1:{port}/mcp"}}
"""
)
"""The same and one MCP server; lines that follow are further ones."""
MEMBER_PROGRAM = "bench.mock_stdio"


def stdio_member(name: str) -> str:
    """The configuration's line for an MCP server that is a program."""
    return f'  {name}: {{command: "{sys.executable}", args: ["-m", "{MEMBER_PROGRAM}"], era: legacy}}\n'


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def pin(pid: int, core: int) -> None:
    """Keep a process on one core, where there are several and the system can."""
    if hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(pid, {core})


def on_own_core(work: Coroutine[Any, Any, T]) -> T:
    """Run the benchmark itself, beside the mock on core 0."""
    pin(0, 0)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


@dataclass(frozen=True)
class Gate:
    """A running gateway."""

    port: int
    pid: int
    ready_s: float

    def cpu_s(self) -> float:
        """User and system time of the process tree, without MCP servers of ours."""
        return sum(sum(process.cpu_times()[:2]) for process in self._own())

    def memory_mb(self) -> float:
        """Resident memory of the same processes."""
        found: int = sum(process.memory_info().rss for process in self._own())
        return found / 1024 / 1024

    def _own(self) -> list[psutil.Process]:
        root = psutil.Process(self.pid)
        return [root, *(p for p in root.children(recursive=True) if MEMBER_PROGRAM not in p.cmdline())]


@asynccontextmanager
async def _announced(core: int, module: str, *arguments: int) -> AsyncIterator[int]:
    """A program of the benchmark on one core, from its first line (it listens) to the end; its process id."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *map(str, arguments)), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    pin(child.pid, core)
    try:
        if child.stdout is not None:
            await child.stdout.readline()
        yield child.pid
    finally:
        child.terminate()
        await child.wait()


@asynccontextmanager
async def mock() -> AsyncIterator[int]:
    """The upstream, on core 0; its port."""
    port = free_port()
    async with _announced(0, "bench.mock", port):
        yield port


@asynccontextmanager
async def bare(upstream: int) -> AsyncIterator[Gate]:
    """The forwarder that checks nothing, on core 1."""
    port = free_port()
    begun = time.perf_counter()
    async with _announced(1, "bench.bare", port, upstream) as pid:
        yield Gate(port, pid, time.perf_counter() - begun)


@asynccontextmanager
async def gateway(directory: Path, yaml: str) -> AsyncIterator[Gate]:
    """A gateway of this configuration, on core 1. ``directory`` holds its state and may be filled before."""
    config, state = _prepared(directory, yaml)
    port = free_port()
    begun = time.perf_counter()
    with (directory / "gateway.log").open("wb") as log:
        arguments = ("--config", str(config), "--state", str(state), "--port", str(port))
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway.server", *arguments, cwd=ROOT, stdout=log, stderr=log
        )
    pin(child.pid, 1)
    try:
        while not (state / "address").exists():
            if child.returncode is not None or time.perf_counter() - begun > READY_S:
                raise RuntimeError(f"the gateway did not start:\n{(directory / 'gateway.log').read_text()}")
            await asyncio.sleep(0.01)
        yield Gate(port, child.pid, time.perf_counter() - begun)
    finally:
        child.terminate()
        await child.wait()


def _prepared(directory: Path, yaml: str) -> tuple[Path, Path]:
    directory.mkdir(parents=True, exist_ok=True)
    config, state = directory / "tollkeeper.yaml", directory / ".tollkeeper"
    config.write_text(yaml)
    (state / "address").unlink(missing_ok=True)
    return config, state
