"""``tollkeeper prices``: what models cost, where the price comes from, and prices set at run time."""

from __future__ import annotations

import json
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.table import Table

from gateway.cli_asking import DEFAULT_STATE, StateOption, ask, fail, out

prices_app = typer.Typer(help="What models cost, and prices set at run time.", invoke_without_command=True)

_COLUMNS = ("input", "output", "cache_read", "cache_write", "cache_write_1h")


@prices_app.callback()
def show(
    context: typer.Context,
    provider: Annotated[str | None, typer.Option(help="Of this provider only.")] = None,
    model: Annotated[str | None, typer.Option(help="Of this model, known or not.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Everything, as JSON.")] = False,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """Dollars per million tokens, and where each price comes from."""
    if context.invoked_subcommand is not None:
        return
    lines = ask(state, "GET", "/api/prices", {"provider": provider, "model": model})["prices"]
    if as_json:
        typer.echo(json.dumps(lines, indent=2))
        return
    table = Table("provider", "model", "above", *_COLUMNS, "source", "warning", box=None)
    for line in lines:
        for step in line["steps"] or [{}]:
            rates = (str(step.get(name, "")) for name in _COLUMNS)
            above = str(step.get("above_tokens") or "")
            table.add_row(line["provider"], line["model"], above, *rates, line["source"] or "", line["warning"] or "")
    out.print(table)


@prices_app.command("set")
def set_price(
    name: Annotated[str, typer.Argument(help="provider/model")],
    input_price: Annotated[str, typer.Option("--input", help="Dollars per million input tokens.")],
    output_price: Annotated[str, typer.Option("--output", help="Dollars per million output tokens.")],
    cache_read: Annotated[str | None, typer.Option(help="Dollars per million cached input tokens.")] = None,
    cache_write: Annotated[str | None, typer.Option(help="Dollars per million tokens written to a cache.")] = None,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """Set the price of a model; it acts on the next call."""
    body: dict[str, Any] = {
        "input_per_million": input_price,
        "output_per_million": output_price,
        "cache_read_per_million": cache_read,
        "cache_write_per_million": cache_write,
    }
    ask(state, "PUT", _path(name), {field: value for field, value in body.items() if value is not None})
    typer.echo(f"{name} is charged at ${input_price} and ${output_price} per million tokens from now on.")


@prices_app.command("unset")
def unset_price(
    name: Annotated[str, typer.Argument(help="provider/model")], state: StateOption = DEFAULT_STATE
) -> None:
    """Go back to the catalogue's price."""
    ask(state, "DELETE", _path(name))
    typer.echo(f"{name} is charged by the catalogue from now on.")


def _path(name: str) -> str:
    provider, slash, model = name.partition("/")
    if not slash or not model:
        raise fail("Name the model as provider/model, such as openai/gpt-4o.")
    return f"/api/prices/{quote(provider, safe='')}/{quote(model, safe='/')}"
