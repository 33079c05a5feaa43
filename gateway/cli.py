"""The command line: ``tollkeeper serve | check | config schema | keys | ledger | explain | doctor``.

Commands that concern a running gateway speak to it over its admin API; the address and the token are
in the state directory.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from gateway.cli_client import AdminClient, GatewayRefused, GatewayUnreachable, open_client
from gateway.config.loader import ConfigError, load
from gateway.config.report import effective, schema
from policies.ledger import LedgerRow
from policies.refusals import dollars, instant
from policies.run_tree import build_trees, render

DEFAULT_STATE = Path(".tollkeeper")
DEFAULT_CONFIG = Path("tollkeeper.yaml")

app = typer.Typer(help="One gate for AI agents.", no_args_is_help=True, add_completion=False)
keys_app = typer.Typer(help="Virtual keys that live in the database.", no_args_is_help=True)
config_app = typer.Typer(help="The configuration's own documentation.", no_args_is_help=True)
app.add_typer(keys_app, name="keys")
app.add_typer(config_app, name="config")

out = Console(soft_wrap=True, highlight=False)
err = Console(stderr=True, soft_wrap=True, highlight=False)

StateOption = Annotated[
    Path, typer.Option("--state", envvar="TOLLKEEPER_STATE", help="State directory of the installation.")
]


def _fail(message: str, status: int = 1) -> typer.Exit:
    err.print(message, markup=False)
    return typer.Exit(status)


def _client(state: Path) -> AdminClient:
    try:
        return open_client(state)
    except GatewayUnreachable as error:
        raise _fail(str(error)) from None


def _ask(state: Path, method: str, path: str, payload: dict[str, Any] | None = None) -> Any:
    """One call of the admin API; ends the command with the gateway's message when it fails."""
    client = _client(state)
    try:
        if method == "GET":
            return client.get(path, payload)
        if method == "DELETE":
            return client.delete(path)
        return client.post(path, payload or {})
    except (GatewayUnreachable, GatewayRefused) as error:
        raise _fail(str(error)) from None


@app.command()
def serve(
    config: Annotated[Path, typer.Option("--config", "-c", help="The configuration file.")] = DEFAULT_CONFIG,
    host: Annotated[str | None, typer.Option(help="Overrides server.host.")] = None,
    port: Annotated[int | None, typer.Option(help="Overrides server.port; 0 takes a free one.")] = None,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """Run the gateway."""
    raise typer.Exit(run_server(ServeOptions(config, state, host, port)))


@app.command()
def check(file: Annotated[Path, typer.Argument(help="The configuration file.")] = DEFAULT_CONFIG) -> None:
    """Validate a configuration and print what it amounts to, secrets masked. Exit status 2 on problems."""
    try:
        loaded = load(file, os.environ)
    except ConfigError as error:
        for problem in error.problems:
            err.print(str(problem), markup=False)
        raise typer.Exit(2) from None
    for note in loaded.notes:
        err.print(f"note: {note}", markup=False)
    typer.echo(effective(loaded.config), nl=False)


@config_app.command("schema")
def config_schema() -> None:
    """Print the configuration's JSON Schema."""
    typer.echo(json.dumps(schema(), indent=2))
