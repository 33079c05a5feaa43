"""Runs a client program that ``make test`` installed, in a clean home and with no environment but what it is given."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path

LONGEST_S = 90


def client_program(name: str) -> str:
    """A program that ``make test`` installed. Fails, and does not skip, when it is not there."""
    root = os.environ.get("TOLLKEEPER_CLIENTS")
    if root is None:
        raise RuntimeError("TOLLKEEPER_CLIENTS is not set: run these tests with 'make test'")
    path = Path(root) / "node_modules" / ".bin" / name
    if not path.exists():
        raise RuntimeError(f"{path} is missing: remove {root}/.installed and run 'make test'")
    return str(path)


async def run_program(
    name: str, arguments: tuple[str, ...], environment: Mapping[str, str], home: Path, good: tuple[int, ...] = (0,)
) -> bytes:
    """What it printed. Raises ``RuntimeError`` with its last words when it ends in another way than ``good``."""
    child = await asyncio.create_subprocess_exec(
        client_program(name),
        *arguments,
        env={"PATH": os.environ["PATH"], "HOME": str(home), "TERM": "dumb", "LANG": "C.UTF-8", **environment},
        cwd=home,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(child.communicate(), LONGEST_S)
    if child.returncode not in good or not out:
        raise RuntimeError(f"{name} ended with {child.returncode}: {(out + err).decode()[-3000:]}")
    return out
