"""What the commands share: output, the state directory, and one call of the admin API."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

import typer
from rich.console import Console

from gateway.cli_client import AdminClient, GatewayRefused, GatewayUnreachable, open_client

DEFAULT_STATE = Path(".tollkeeper")
DEFAULT_CONFIG = Path("tollkeeper.yaml")
OFFLINE_PATHS = ("/api/keys", "/api/ledger")
"""What can be asked of the database when no gateway runs."""

PIPED_COLUMNS = 240
"""A table that goes into a file or a pipe is not squeezed into a terminal's width."""

out = Console(soft_wrap=True, highlight=False, width=None if sys.stdout.isatty() else PIPED_COLUMNS)
err = Console(stderr=True, soft_wrap=True, highlight=False)

StateOption = Annotated[
    Path, typer.Option("--state", envvar="TOLLKEEPER_STATE", help="State directory of the installation.")
]


def fail(message: str, status: int = 1) -> typer.Exit:
    err.print(message, markup=False)
    return typer.Exit(status)


def client_of(state: Path) -> AdminClient:
    try:
        return open_client(state)
    except GatewayUnreachable as error:
        raise fail(str(error)) from None


def ask(state: Path, method: str, path: str, payload: dict[str, Any] | None = None) -> Any:
    """One call of the admin API; ends the command with the gateway's message when it fails."""
    if not (state / "address").exists() and path.startswith(OFFLINE_PATHS):
        return _ask_offline(state, method, path, payload)
    client = client_of(state)
    try:
        if method == "GET":
            return client.get(path, payload)
        if method == "PUT":
            return client.put(path, payload or {})
        if method == "DELETE":
            return client.delete(path, payload)
        return client.post(path, payload or {})
    except (GatewayUnreachable, GatewayRefused) as error:
        raise fail(str(error)) from None


def _ask_offline(state: Path, method: str, path: str, payload: dict[str, Any] | None) -> Any:
    """The same call when no gateway runs: on the database itself, in a program of its own."""
    given = {name: value for name, value in (payload or {}).items() if value is not None}
    where = f"{path}?{urlencode(given)}" if method == "GET" and given else path
    arguments = [method, where, "--state", str(state)]
    if DEFAULT_CONFIG.exists():
        arguments += ["--config", str(DEFAULT_CONFIG)]
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "gateway.offline", *arguments],
        input=json.dumps(given).encode() if method == "POST" else b"",
        capture_output=True,
        check=False,
    )
    if done.returncode != 0:
        raise fail(done.stderr.decode(errors="replace").strip())
    return json.loads(done.stdout)
