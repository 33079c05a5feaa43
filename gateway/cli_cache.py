"""``tollkeeper cache``: what is kept, why a call hit or missed, forgetting, and judging an embedder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.table import Table

from gateway.cli_asking import DEFAULT_STATE, StateOption, ask, fail, out

cache_app = typer.Typer(help="Kept answers: list, explain, forget, evaluate.", no_args_is_help=True)

_SAID = {
    "miss": "a miss: nothing was kept for this request, and the provider was asked",
    "exact": "an exact hit: the same request had been answered before",
    "coalesced": "shared the flight of an identical call",
    "bypass:no_cache_key": "took no part: participation is by header, and the request names no x-bf-cache-key",
    "bypass:no_store": "took no part: the caller's Cache-Control forbade it",
    "bypass:key_off": "took no part: the virtual key's cache is off",
    "bypass:model_off": "took no part: the model's cache is off",
    "bypass:tool_not_listed": "took no part: no pattern of tool_cache names the tool",
    "bypass:tool_not_read_only": "took no part: the tool's server says that it changes something",
    "bypass:stateful": "took no part: its answer depends on what the upstream keeps",
    "bypass:ambiguous": "took no part: parsers could read the request differently",
    "bypass:unsupported": "took no part: answers of this kind are not kept",
}


@cache_app.command("show")
def show(state: StateOption = DEFAULT_STATE) -> None:
    """What the cache holds, and whether it works."""
    typer.echo(json.dumps(ask(state, "GET", "/api/cache"), indent=2))


@cache_app.command("list")
def entries(
    key: Annotated[str | None, typer.Option(help="Of this virtual key.")] = None,
    model: Annotated[str | None, typer.Option(help="Of this model, as callers name it.")] = None,
    tool: Annotated[str | None, typer.Option(help="Of this tool or resource, as server/name.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Entries at the most.")] = 100,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """Kept answers, without their contents."""
    table = Table("id", "subject", "partition", "created", "expires", "saves", box=None)
    query = {"key": key, "model": model, "tool": tool, "limit": limit}
    for entry in ask(state, "GET", "/api/cache/entries", query)["entries"]:
        fields = ("subject", "partition", "created_at", "expires_at", "saves")
        table.add_row(entry["id"][:12], *(str(entry[field]) for field in fields))
    out.print(table)


@cache_app.command("clear")
def clear(
    entry: Annotated[str | None, typer.Option(help="This entry, by its whole id.")] = None,
    key: Annotated[str | None, typer.Option(help="Answers that this virtual key asked for.")] = None,
    cache_key: Annotated[str | None, typer.Option(help="Answers kept under this x-bf-cache-key.")] = None,
    model: Annotated[str | None, typer.Option(help="Answers of this model, as callers name it.")] = None,
    tool: Annotated[str | None, typer.Option(help="Results of this tool or resource, as server/name.")] = None,
    server: Annotated[str | None, typer.Option(help="Results of this MCP server.")] = None,
    tag: Annotated[str | None, typer.Option(help="Answers with this tag (x-tollkeeper-cache-tags).")] = None,
    partition: Annotated[str | None, typer.Option(help="Answers of this partition, such as team:research.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """Forget kept answers: those that match every option."""
    query: dict[str, Any] = {"entry": entry, "key": key, "cache_key": cache_key, "model": model, "tool": tool}
    query |= {"server": server, "tag": tag, "partition": partition}
    if not everything and not any(query.values()):
        raise fail("Say what to forget, or --all.")
    gone = ask(state, "DELETE", "/api/cache", query)["cleared"]
    typer.echo(f"{gone} kept answer{'' if gone == 1 else 's'} forgotten.")


@cache_app.command("explain")
def explain(
    call_id: Annotated[str | None, typer.Argument(help="A call, by x-tollkeeper-call-id or the ledger.")] = None,
    request: Annotated[Path | None, typer.Option(help="Instead: a file with a request's JSON body.")] = None,
    key: Annotated[str | None, typer.Option(help="With --request: the virtual key's name.")] = None,
    operation: Annotated[str, typer.Option(help="chat, responses, messages or embeddings.")] = "chat",
    header: Annotated[list[str] | None, typer.Option(help="With --request: a header, as name:value.")] = None,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """Why a call hit or missed, or would."""
    if call_id is not None:
        _explain_call(ask(state, "GET", f"/api/cache/explain/{quote(call_id, safe='')}"))
        return
    if request is None or key is None:
        raise fail("Name a call, or give --request FILE and --key NAME.")
    try:
        body = json.loads(request.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise fail(f"{request} cannot be read as JSON: {error}") from None
    headers = dict(line.split(":", 1) for line in header or () if ":" in line)
    question = {"key": key, "operation": operation, "body": body, "headers": headers}
    _explain_request(ask(state, "POST", "/api/cache/explain", question))


@cache_app.command("evaluate")
def evaluate(
    file: Annotated[Path, typer.Argument(help='Pairs, one JSON object a line: {"a": …, "b": …, "same": true}.')],
    key: Annotated[str, typer.Option(help="The virtual key that pays for the embeddings.")],
    state: StateOption = DEFAULT_STATE,
) -> None:
    """Judge the configured embedder: precision and recall by threshold. Exit status 1 when the configured threshold
    would reuse an answer wrongly."""
    try:
        pairs = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise fail(f"{file} cannot be read as lines of JSON: {error}") from None
    said = ask(state, "POST", "/api/cache/evaluate", {"key": key, "pairs": pairs})
    table = Table("threshold", "precision", "recall", "wrong", "precision without guards", "wrong", box=None)
    for own, bare in zip(said["guarded"], said["unguarded"], strict=True):
        shares = (own["precision"], own["recall"])
        row = (*map(_share, shares), str(own["wrong"]), _share(bare["precision"]), str(bare["wrong"]))
        table.add_row(f"{own['threshold']:.2f}", *row)
    out.print(table)
    reused = [p for p in said["pairs"] if p["similarity"] >= said["threshold"] and p["guards_agree"]]
    wrong = [pair for pair in reused if not pair["same"]]
    lost = sum(pair["same"] for pair in said["pairs"]) - (len(reused) - len(wrong))
    typer.echo(f"At {said['threshold']}: {len(wrong)} wrong of {len(reused)} reused, {lost} missed.")
    for pair in wrong:
        typer.echo(f"  wrong ({pair['similarity']:.3f} {pair['kind']}): {pair['a']} | {pair['b']}")
    if wrong:
        raise typer.Exit(1)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _explain_call(said: dict[str, Any]) -> None:
    mark = said["cache"] or "off"
    text = _SAID.get(mark, "the cache was off for it" if mark == "off" else mark)
    if mark.startswith("semantic:"):
        text = f"a semantic hit: an earlier request meant the same (cosine {mark.partition(':')[2]})"
    typer.echo(f"{said['target']} for {said['key']}: {text}")
    entry = said["entry"]
    if entry is not None:
        typer.echo(f"  kept now: {entry['id'][:12]} in {entry['partition']}, until {entry['expires_at']}")
    elif mark == "miss":
        typer.echo("  nothing is kept for it now: it did not end well, called tools, was too long, or has expired")


def _explain_request(said: dict[str, Any]) -> None:
    if not said["takes_part"]:
        mark = f"bypass:{said['reason']}"
        typer.echo(_SAID.get(mark, "the cache is off for it" if said["reason"] == "off" else mark))
        return
    typer.echo(f"{said['id'][:12]} in {said['partition']}")
    if said["found"] is not None:
        typer.echo(f"  an exact hit, kept at {said['found']['created_at']}, saves {said['found']['saves']}")
        return
    typer.echo("  no exact hit" + ("; the semantic layer would be asked" if said["semantic"] else ""))
    for miss in said["near_misses"]:
        typer.echo(f"  near: {miss['id'][:12]} of {miss['created_at']} differs in {', '.join(miss['differs'])}")
