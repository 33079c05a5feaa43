"""Sessions and their programs end with their owner."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from mcp_hub.session_key import SessionKey
from mcp_hub.upstream.specs import StdioSpec
from mcp_hub.upstream.supervisor import Supervisor, SupervisorSettings

pytestmark = pytest.mark.anyio

SILENT = "import os, sys, time; print(os.getpid(), file=open(sys.argv[1], 'w'), flush=True); time.sleep(600)"
"""A program that says its number, and never a word of MCP."""


async def test_a_program_whose_session_is_being_begun_ends_with_the_supervisor(tmp_path: Path) -> None:
    said = tmp_path / "pid"
    os.mkfifo(said)
    no_http: Any = None
    supervisor = Supervisor(no_http, SupervisorSettings(), time.time_ns, lambda *_: None)
    supervisor.reconfigure([StdioSpec("silent", sys.executable, ("-c", SILENT, str(said)))])
    begun = asyncio.create_task(supervisor.acquire(SessionKey("silent")))
    pid = int(await asyncio.to_thread(said.read_text))
    await supervisor.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(asyncio.CancelledError):
        await begun
