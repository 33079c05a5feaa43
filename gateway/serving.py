"""What the server and the supervisor of several of them share."""

from __future__ import annotations

import socket as sockets
import sys
from dataclasses import dataclass
from pathlib import Path

EXIT_CONFIG = 2
EXIT_START = 1
READY_LINE = "ready"


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """What the command line says about a run."""

    config: Path
    state: Path
    host: str | None = None
    port: int | None = None
    workers: int = 1
    worker: int = 0
    """Which of the workers this process is; 0 when there is one."""
    socket: int | None = None
    """A listening socket that a supervisor opened."""


def address_of(listener: sockets.socket) -> str:
    """Where clients find it."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def say(line: str) -> None:
    """To whoever started the process, before there are logs or where a log line would be missed."""
    print(line, file=sys.stderr, flush=True)
