"""The command line: ``tollkeeper serve | check | config schema | keys | prices | ledger | explain | doctor``.

Commands that concern a running gateway speak to it over its admin API; the address and the token are
in the state directory.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import msgspec
import typer
from rich.table import Table

from gateway.cli_asking import DEFAULT_CONFIG, DEFAULT_STATE, StateOption, ask, client_of, err, fail, out
from gateway.cli_cache import cache_app
from gateway.cli_client import GatewayRefused, GatewayUnreachable
from gateway.cli_doctor import doctor
from gateway.cli_prices import prices_app
from gateway.config.loader import ConfigError, load
from gateway.config.report import effective, schema
from policies.ledger import LedgerRow, columns_of
from policies.refusals import dollars, instant
from policies.run_tree import build_trees, render
from policies.windows import SECOND_NS

app = typer.Typer(help="One gate for AI agents.", no_args_is_help=True, add_completion=False)
keys_app = typer.Typer(help="Virtual keys that live in the database.", no_args_is_help=True)
config_app = typer.Typer(help="The configuration's own documentation.", no_args_is_help=True)
app.add_typer(keys_app, name="keys")
app.add_typer(config_app, name="config")
app.add_typer(prices_app, name="prices")
app.add_typer(cache_app, name="cache")
app.command()(doctor)


@app.command()
def serve(
    config: Annotated[Path, typer.Option("--config", "-c", help="The configuration file.")] = DEFAULT_CONFIG,
    host: Annotated[str | None, typer.Option(help="Overrides server.host.")] = None,
    port: Annotated[int | None, typer.Option(help="Overrides server.port; 0 takes a free one.")] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes; more than one needs Redis counters.")] = 1,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """Run the gateway."""
    arguments = ["--config", str(config), "--state", str(state)]
    arguments += ["--host", host] if host is not None else []
    arguments += ["--port", str(port)] if port is not None else []
    arguments += ["--workers", str(workers)] if workers > 1 else []
    # Another program, in this process: the command line stays light, and does not load the server.
    os.execv(sys.executable, [sys.executable, "-m", "gateway.server", *arguments])  # noqa: S606


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


@keys_app.command("create")
def keys_create(
    name: Annotated[str, typer.Argument(help="Unique name of the key.")],
    team: Annotated[str | None, typer.Option(help="The team that it belongs to.")] = None,
    customer: Annotated[str | None, typer.Option(help="The customer who pays, for a key without a team.")] = None,
    model: Annotated[list[str] | None, typer.Option(help="A pattern of allowed_models; repeatable.")] = None,
    tool: Annotated[list[str] | None, typer.Option(help="A pattern of allowed_tools; repeatable.")] = None,
    budget: Annotated[str | None, typer.Option(help="Dollars per window: 100/1M.")] = None,
    requests: Annotated[str | None, typer.Option(help="Calls per window: 200/1h.")] = None,
    tokens: Annotated[str | None, typer.Option(help="Tokens per window: 500000/1d.")] = None,
    cache: Annotated[bool | None, typer.Option("--cache/--no-cache", help="Its model answers may be kept.")] = None,
    cache_ttl: Annotated[int | None, typer.Option(help="Seconds that they are kept.")] = None,
    expires: Annotated[str | None, typer.Option(help="ISO 8601, e.g. 2027-01-01T00:00:00Z.")] = None,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """Make a virtual key. Its secret is printed once and kept nowhere."""
    body: dict[str, Any] = {"name": name, "team": team, "customer": customer, "expires_at": expires}
    body |= {"allowed_models": model, "allowed_tools": tool}
    body |= {"cache_enabled": cache, "cache_ttl_seconds": cache_ttl}
    body |= _limit("budget", budget) | _limit("request", requests) | _limit("token", tokens)
    made = ask(state, "POST", "/api/keys", {n: v for n, v in body.items() if v is not None})
    typer.echo(made["key"])
    err.print(f"Virtual key {made['name']!r} made. The secret above is shown this once.", markup=False)


@keys_app.command("list")
def keys_list(state: StateOption = DEFAULT_STATE) -> None:
    """List all virtual keys, without their secrets."""
    table = Table("name", "state", "source", "team", "customer", "expires", box=None)
    for key in ask(state, "GET", "/api/keys")["keys"]:
        names = ("name", "state", "source", "team", "customer", "expires_at")
        table.add_row(*(str(key.get(field) or "") for field in names))
    out.print(table)


@keys_app.command("revoke")
def keys_revoke(name: str, state: StateOption = DEFAULT_STATE) -> None:
    """End a virtual key; its next call fails."""
    ask(state, "DELETE", f"/api/keys/{quote(name, safe='')}")
    typer.echo(f"Virtual key {name!r} revoked.")


@keys_app.command("rotate")
def keys_rotate(
    name: str,
    grace: Annotated[int, typer.Option(help="Seconds that the old secret stays valid.")] = 0,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """Give a virtual key a new secret, printed once."""
    made = ask(state, "POST", f"/api/keys/{quote(name, safe='')}/rotate", {"grace_seconds": grace})
    typer.echo(made["key"])
    err.print(f"The old secret ends at {made['old_expires_at']}.", markup=False)


@app.command()
def ledger(
    run: Annotated[str | None, typer.Option(help="Draw this run as a tree.")] = None,
    key: Annotated[str | None, typer.Option(help="Rows of this virtual key.")] = None,
    team: Annotated[str | None, typer.Option(help="Rows of this team.")] = None,
    customer: Annotated[str | None, typer.Option(help="Rows of this customer.")] = None,
    kind: Annotated[str | None, typer.Option(help="model, tool, resource, prompt …")] = None,
    outcome: Annotated[str | None, typer.Option(help="ok, failed, cancelled, refused, interrupted, cached")] = None,
    since: Annotated[str | None, typer.Option(help="Not older than: 30m, 6h, 7d.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Rows at the most.")] = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with rows as they come.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Every matching row, oldest first: an export.")] = False,
    by: Annotated[str | None, typer.Option(help="Sums by key, team, customer, model, tool, run, day …")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON, one row a line.")] = False,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """Rows of the ledger, sums of them, or one run as a tree."""
    filters: dict[str, Any] = {"key": key, "team": team, "customer": customer, "kind": kind, "outcome": outcome}
    if run is not None and not (follow or as_json or everything or by):
        _show_run(state, run)
        return
    filters |= {"run": run, "since_ns": _since(since) if since else None}
    if follow:
        _follow(state, {**filters, "limit": limit}, as_json=as_json)
        return
    if by is not None:
        _show_totals(
            ask(state, "GET", "/api/ledger/totals", {**filters, "group_by": by})["totals"], by, as_json=as_json
        )
        return
    if everything:
        _export(state, filters, as_json=as_json)
        return
    page = ask(state, "GET", "/api/ledger", {**filters, "limit": limit})
    for row in reversed(page["rows"]):
        _show_row(msgspec.convert(row, LedgerRow), as_json=as_json)


@app.command()
def explain(
    key: Annotated[str, typer.Option(help="Name of the virtual key.")],
    model: Annotated[str | None, typer.Option(help="A model, as a caller would name it.")] = None,
    tool: Annotated[str | None, typer.Option(help="A tool, as server/tool.")] = None,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """Which decision a call would meet, and why."""
    said = ask(state, "GET", "/api/explain", {"key": key, "model": model, "tool": tool})
    verdict = "allowed" if said["allowed"] else "denied"
    typer.echo(f"{said.get('model') or said.get('tool')}: {verdict} for {key}")
    if "reason" in said:
        typer.echo(f"  {said['reason']}" + ("" if said["offered"] else "; no server offers it now"))
    for candidate in said.get("candidates", ()):
        mark = "+" if candidate["taken"] else "-"
        typer.echo(f"  {mark} {candidate['provider']}: {candidate['reason']}")
    for index, target in enumerate(said.get("route", ()), 1):
        notes = [f"key {target['key']}"] if target["key"] else []
        notes += ["fallback"] if target["fallback"] else []
        notes += [f"breaker {target['breaker']}"] if target["breaker"] != "closed" else []
        if len(target["surfaces"]) == 1:
            notes.append(f"only asked by {target['surfaces'][0]}")
        said_more = f"   ({', '.join(notes)})" if notes else ""
        place = f"{target['provider']}/{target['model']} (speaks {target['dialect']})"
        typer.echo(f"  {index}. {place}   price: {target['price']}{said_more}")


def _export(state: Path, filters: dict[str, Any], *, as_json: bool) -> None:
    """Page by page, so that neither side holds more than a page."""
    cursor: str | None = None
    while True:
        query = {**filters, "limit": 1000, "order": "oldest", "cursor": cursor}
        page = ask(state, "GET", "/api/ledger", query)
        for row in page["rows"]:
            _show_row(msgspec.convert(row, LedgerRow), as_json=as_json)
        cursor = page["next_cursor"]
        if cursor is None:
            return


def _show_totals(totals: list[dict[str, Any]], by: str, *, as_json: bool) -> None:
    if as_json:
        for total in totals:
            typer.echo(json.dumps(total))
        return
    table = Table(by, "calls", "refused", "failed", "input", "output", "cost", "cached", "saved", box=None)
    for total in totals:
        counts = (str(total[name]) for name in ("calls", "refused", "failed", "input_tokens", "output_tokens"))
        saved = (str(total["cached"]), dollars(total["saved_nano"]))
        table.add_row(total["group"] or "-", *counts, dollars(total["cost_nano"]), *saved)
    out.print(table)


def _show_run(state: Path, run: str) -> None:
    said = ask(state, "GET", f"/api/ledger/runs/{quote(run, safe='')}")
    for tree in build_trees(run, [msgspec.convert(row, LedgerRow) for row in said["rows"]]):
        for line in render(tree):
            typer.echo(line)


def _show_row(row: LedgerRow, *, as_json: bool) -> None:
    if as_json:
        typer.echo(msgspec.json.encode(columns_of(row)).decode())
        return
    mark = "~" if row.basis == "estimated" else ""
    parts = [
        instant(row.started_ns),
        row.kind,
        row.target,
        row.outcome,
        row.key or "-",
        f"{mark}{dollars(row.cost_nano)}",
    ]
    typer.echo("  ".join([*parts, row.call_id, *([f"run={row.run}"] if row.run else [])]))


def _follow(state: Path, filters: dict[str, Any], *, as_json: bool) -> None:
    try:
        for line in client_of(state).lines("/api/ledger/follow", filters):
            _show_row(msgspec.json.decode(line, type=LedgerRow), as_json=as_json)
            sys.stdout.flush()
    except (GatewayUnreachable, GatewayRefused) as error:
        raise fail(str(error)) from None
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


def _limit(name: str, text: str | None) -> dict[str, Any]:
    """``100/1M`` as the two fields of the API."""
    if text is None:
        return {}
    amount, _, duration = text.partition("/")
    value = amount if name == "budget" else int(amount) if amount.isdigit() else amount
    return {f"{name}_limit": value, f"{name}_limit_duration" if name != "budget" else "budget_duration": duration}


def _since(text: str) -> int:
    """``6h`` as nanoseconds since the epoch."""
    seconds = {"s": 1, "m": 60, "h": 3600, "d": 86_400}.get(text[-1:])
    if seconds is None or not text[:-1].isdigit():
        raise typer.BadParameter("--since takes a number and one of s m h d, such as 6h")
    return time.time_ns() - int(text[:-1]) * seconds * SECOND_NS


def main() -> None:
    """The command ``tollkeeper``."""
    app()


if __name__ == "__main__":
    main()
