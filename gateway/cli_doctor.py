"""``tollkeeper doctor``: how every server, provider and store is doing."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.table import Table

from gateway.cli_asking import DEFAULT_STATE, StateOption, ask, out


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Everything, as JSON.")] = False,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """State of every server and provider. Exit status 1 when something is not well."""
    said = ask(state, "GET", "/api/doctor")
    if as_json:
        typer.echo(json.dumps(said, indent=2))
    else:
        _show_doctor(said)
    bad = any(s["state"] not in ("ok", "connecting") for s in said["servers"]) or any(
        said[store]["state"] not in ("ok", "off") for store in _STORES
    )
    if bad:
        raise typer.Exit(1)


_STORES = ("ledger", "counters", "cache")


def _show_doctor(said: dict[str, Any]) -> None:
    heads = ("server", "state", "era", "transport", "isolation", "tools", "tokens", "name budget")
    names = ("server", "state", "era", "transport", "isolation", "tools", "tools_tokens", "name_budget_left")
    servers = Table(*heads, "last failure", box=None)
    for server in said["servers"]:
        facts = ("" if server.get(field) is None else str(server[field]) for field in names)
        servers.add_row(*facts, _failure(server.get("last_failure")))
    out.print(servers)
    for server in said["servers"]:
        if server.get("message"):
            out.print(f"{server['server']}: {server['message']}", markup=False)
    providers = Table("provider", "type", "state", "reason", box=None)
    for provider in said["providers"]:
        providers.add_row(provider["name"], provider["type"], provider["state"], provider["reason"] or "")
    out.print(providers)
    for breaker in said["breakers"]:
        place = "/".join(filter(None, (breaker["provider"], breaker["key"], breaker["model"])))
        told = f"{place}: breaker {breaker['state']} after {breaker['failures']} failures"
        out.print(f"{told}; a call probes it in {breaker['probe_in_s']} s", markup=False)
    for store in _STORES:
        out.print(f"{store}: {said[store]['state']} {said[store]['reason'] or ''}", markup=False)


def _failure(failure: dict[str, Any] | None) -> str:
    if failure is None:
        return ""
    told = f"{failure['code']} at {failure['stage']}, {failure['since_s']} s ago"
    retry = failure["next_retry_s"]
    return told if retry is None else f"{told}; next try in {retry} s"
