"""Runs a framework's script (``frameworks/``) in the environment that ``make test`` made for them, and asks it for tasks.

One process a framework: importing one takes seconds. What it is asked is a line, and so is what it tells.
"""

from __future__ import annotations

import asyncio
import json
import os
from asyncio.subprocess import Process
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCRIPTS = Path(__file__).parent / "frameworks"
QUIET = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "OPENAI_AGENTS_DISABLE_TRACING": "1",
    "LANGSMITH_TRACING": "false",
    "HF_HUB_OFFLINE": "1",
    "DO_NOT_TRACK": "1",
}


def python_of_frameworks() -> str:
    """Fails, and does not skip, when it is not there."""
    root = os.environ.get("TOLLKEEPER_FRAMEWORKS")
    if root is None:
        raise RuntimeError("TOLLKEEPER_FRAMEWORKS is not set: run these tests with 'make test'")
    path = Path(root) / "bin" / "python"
    if not path.exists():
        raise RuntimeError(f"{path} is missing: remove {root}/.installed and run 'make test'")
    return str(path)


@dataclass
class FrameworkClient:
    """``async with FrameworkClient("langchain", home)``; its process begins with the first task."""

    framework: str
    home: Path
    process: Process | None = None

    async def __aenter__(self) -> FrameworkClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.process is None or self.process.stdin is None:
            return
        self.process.stdin.close()
        await asyncio.wait_for(self.process.wait(), 30)

    async def do(self, **ask: str) -> dict[str, Any]:
        """One task; what it tells. What a framework raises is an error here."""
        if self.process is None:
            self.process = await self._start()
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(ask).encode() + b"\n")
        line = await self.process.stdout.readline()
        told: dict[str, Any] = json.loads(line or b'{"error": "it ended"}')
        if "error" in told:
            raise RuntimeError(f"{self.framework}: {told['error']}\n{self._log.read_text()[-3000:]}")
        return told

    @property
    def _log(self) -> Path:
        return self.home / f"{self.framework}.log"

    async def _start(self) -> Process:
        with self._log.open("wb") as log:
            return await asyncio.create_subprocess_exec(
                python_of_frameworks(),
                str(SCRIPTS / f"run_{self.framework}.py"),
                cwd=self.home,
                env={"PATH": os.environ["PATH"], "HOME": str(self.home), "LANG": "C.UTF-8", **QUIET},
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )
