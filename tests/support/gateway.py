"""Runs a real gateway process for a test, and speaks to it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import textwrap
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parent.parent.parent
READY_S = 30.0
MODERN = "2026-07-28"
META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}


@dataclass
class RunningGateway:
    """``async with RunningGateway(yaml, directory)``; ``address`` is where it listens."""

    yaml: str
    directory: Path
    environ: dict[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    address: str = ""
    since_ns: int = 0

    async def __aenter__(self) -> RunningGateway:
        self.config = self.directory / "tollkeeper.yaml"
        self.config.write_text(textwrap.dedent(self.yaml))
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()
        if self.process.returncode is None:
            await self.stop()

    @property
    def state(self) -> Path:
        return self.directory / ".tollkeeper"

    async def start(self) -> None:
        (self.state / "address").unlink(missing_ok=True)
        self.log = self.directory / "gateway.log"
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "gateway.server",
                "--config",
                str(self.config),
                "--port",
                "0",
                "--state",
                str(self.state),
                *self.arguments,
                cwd=ROOT,
                env={**os.environ, **self.environ},
                stderr=log,
                stdout=log,
            )
        await self._wait_ready()
        self.admin_token = (self.state / "admin.token").read_text().strip()
        self.http = httpx.AsyncClient(base_url=self.address, timeout=30, trust_env=False)

    async def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self.process.wait(), READY_S)

    def mark(self) -> None:
        """From now on ``rows`` tells only what happens from now on."""
        self.since_ns = time.time_ns()

    async def kill(self) -> None:
        self.process.kill()
        await self.process.wait()

    async def _wait_ready(self) -> None:
        """The address file appears when the gateway listens."""
        file = self.state / "address"
        for _ in range(int(READY_S / 0.05)):
            if self.process.returncode is not None:
                raise RuntimeError(f"the gateway ended with {self.process.returncode}:\n{self.log.read_text()}")
            if file.exists() and (text := file.read_text().strip()):
                self.address = text
                return
            await asyncio.sleep(0.05)
        raise TimeoutError(f"the gateway did not listen:\n{self.log.read_text()}")

    async def cli(self, *arguments: str) -> tuple[int, str, str]:
        """The real command line on this gateway's state: (status, stdout, stderr)."""
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "gateway.cli",
            *arguments,
            cwd=ROOT,
            env={**os.environ, "TOLLKEEPER_STATE": str(self.state), "COLUMNS": "200"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await child.communicate()
        return child.returncode or 0, out.decode(), err.decode()

    async def admin(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.admin_token}"}
        return await self.http.request(method, path, headers=headers, **kwargs)

    async def rows(self, **filters: str) -> list[dict[str, Any]]:
        """Ledger rows, oldest first."""
        wanted = {"limit": 1000, "order": "oldest", "since_ns": self.since_ns, **filters}
        answer = await self.admin("GET", "/api/ledger", params=wanted)
        answer.raise_for_status()
        rows: list[dict[str, Any]] = answer.json()["rows"]
        return rows

    async def mcp(
        self, key: str, method: str, params: dict[str, Any] | None = None, *, path: str = "/mcp", **headers: str
    ) -> httpx.Response:
        """One modern MCP request."""
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**(params or {}), "_meta": META}}
        if params and "_meta" in params:
            body["params"]["_meta"] = {**META, **params["_meta"]}  # type: ignore[index]
        named = (params or {}).get("uri" if method == "resources/read" else "name")
        sent = {
            "authorization": f"Bearer {key}",
            "content-type": "application/json",
            "accept": "application/json, text/event-stream",
            "mcp-protocol-version": MODERN,
            "mcp-method": method,
            **({"mcp-name": named} if named else {}),
            **headers,
        }
        return await self.http.post(path, content=json.dumps(body), headers=sent)

    async def call(self, key: str, tool: str, arguments: dict[str, Any] | None = None, **meta: Any) -> dict[str, Any]:
        """The JSON-RPC answer of a tool call."""
        params: dict[str, Any] = {"name": tool, "arguments": arguments or {}}
        if meta:
            params["_meta"] = meta
        answer = await self.mcp(key, "tools/call", params)
        found: dict[str, Any] = answer.json()
        return found

    async def tools(self, key: str, path: str = "/mcp") -> list[str]:
        answer = await self.mcp(key, "tools/list", path=path)
        return [tool["name"] for tool in answer.json()["result"]["tools"]]
