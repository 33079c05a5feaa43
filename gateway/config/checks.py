"""Rules that concern more than one field: duplicates, references, fields that need or exclude each other.

They read the file's plain values, not the models, so that they also speak when some other field is
wrong: all problems are told in one run.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Callable, Iterable, Iterator

from gateway.config.problems import KeyPath, render_path
from gateway.config.server import is_loopback
from gateway.config.tree import Raw, Tree

Block = dict[str, Raw]
_NAMED_LISTS = (("providers", "name"), ("customers", "name"), ("teams", "name"), ("virtual_keys", "key_name"))
_PAYERS = ("providers", "customers", "teams", "virtual_keys")


def nearest(word: str, known: Iterable[str]) -> str | None:
    """``did you mean …?`` with the most similar of ``known``, or ``None`` when none is similar."""
    matches = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"did you mean {matches[0]}?" if matches else None


def run(tree: Tree) -> None:
    """Apply every rule; problems are added to the tree."""
    rules: tuple[Callable[[Tree], None], ...] = (
        _unique_names,
        _unique_secrets,
        _references,
        _one_customer,
        _limits_have_windows,
        _server_shapes,
        _unique_prefixes,
        _sampling_model,
        _provider_keys,
        _azure,
        _embedding_source,
        _vector_address,
        _foreign_bind,
    )
    for rule in rules:
        rule(tree)


def names(tree: Tree, section: str, field: str) -> dict[str, KeyPath]:
    """The names that a list declares, each with the path of its first entry."""
    found: dict[str, KeyPath] = {}
    for path, block in blocks(tree, section):
        name = block.get(field)
        if isinstance(name, str):
            found.setdefault(name, path)
    return found


def blocks(tree: Tree, section: str) -> Iterator[tuple[KeyPath, Block]]:
    """The entries of a top-level list or mapping that are mappings, with their paths."""
    section_value = tree.value.get(section) if isinstance(tree.value, dict) else None
    yield from _children((section,), section_value)


def _children(path: KeyPath, value: Raw) -> Iterator[tuple[KeyPath, Block]]:
    pairs: Iterable[tuple[str | int, Raw]] = ()
    if isinstance(value, list):
        pairs = enumerate(value)
    elif isinstance(value, dict):
        pairs = value.items()
    for key, child in pairs:
        if isinstance(child, dict):
            yield (*path, key), child


def _unique_names(tree: Tree) -> None:
    for section, field in _NAMED_LISTS:
        first = names(tree, section, field)
        for path, block in blocks(tree, section):
            name = block.get(field)
            if isinstance(name, str) and first[name] != path:
                where = f"{render_path(first[name])} on line {tree.line(first[name])}"
                here = (*path, field)
                tree.report(here, f"duplicate name {tree.show(here, name)}, already used by {where}")


def _unique_secrets(tree: Tree) -> None:
    """Two keys with one secret would be one caller with two names. The secret itself is never told."""
    seen: dict[str, KeyPath] = {}
    for path, block in blocks(tree, "virtual_keys"):
        secret = block.get("key")
        here = (*path, "key")
        if not isinstance(secret, str) or here in tree.unusable:
            continue
        # A variable that is not UTF-8 arrives with surrogates; the schema refuses it, this rule must not fail.
        digest = hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
        digest = secret if secret.startswith("sha256:") else f"sha256:{digest}"
        if digest in seen:
            tree.report(here, f"the same secret as {render_path(seen[digest])}", "every key needs a secret of its own")
        else:
            seen[digest] = here


def _references(tree: Tree) -> None:
    customers = names(tree, "customers", "name")
    teams = names(tree, "teams", "name")
    providers = names(tree, "providers", "name")
    for path, block in blocks(tree, "teams"):
        _refer(tree, (*path, "customer"), block.get("customer"), "customer", customers)
    for path, block in blocks(tree, "virtual_keys"):
        _refer(tree, (*path, "team"), block.get("team"), "team", teams)
        _refer(tree, (*path, "customer"), block.get("customer"), "customer", customers)
        _key_providers(tree, (*path, "providers"), block.get("providers"), providers)
    for path, block in blocks(tree, "semantic_cache"):
        if path[-1] == "embedding":
            _refer(tree, (*path, "provider"), block.get("provider"), "provider", providers)


def _key_providers(tree: Tree, path: KeyPath, entries: Raw, known: dict[str, KeyPath]) -> None:
    seen: set[str] = set()
    for entry_path, entry in _children(path, entries):
        name, here = entry.get("name"), (*entry_path, "name")
        _refer(tree, here, name, "provider", known)
        if isinstance(name, str):
            if name in seen:
                tree.report(here, f"duplicate name {tree.show(here, name)} among this key's providers")
            seen.add(name)


def _refer(tree: Tree, path: KeyPath, name: Raw, kind: str, known: dict[str, KeyPath]) -> None:
    if not isinstance(name, str) or name in known or path in tree.unusable:
        return
    tellable = [other for other, entry in known.items() if (*entry, "name") not in tree.variables]
    known_ones = f"known: {', '.join(tellable[:10])}" if tellable else None
    hint = (nearest(name, tellable) or known_ones) if known else f"no {kind} is declared"
    tree.report(path, f"there is no {kind} {tree.show(path, name)}", hint)


def _one_customer(tree: Tree) -> None:
    of_team = {
        name: block.get("customer") for _, block in blocks(tree, "teams") if isinstance(name := block.get("name"), str)
    }
    for path, block in blocks(tree, "virtual_keys"):
        team, customer = block.get("team"), block.get("customer")
        if not isinstance(team, str) or not isinstance(customer, str) or team not in of_team:
            continue
        here = (*path, "customer")
        if of_team[team] is not None and of_team[team] != customer:
            shown = tree.show(here, customer)
            tree.report(here, f"{shown} is not the customer of the key's team", "remove it; the team's customer pays")


def _limits_have_windows(tree: Tree) -> None:
    for section in _PAYERS:
        for path, block in blocks(tree, section):
            _pairs(tree, path, block)
            for entry_path, entry in _children((*path, "providers"), block.get("providers")):
                _pairs(tree, entry_path, entry)


def _pairs(tree: Tree, path: KeyPath, block: Block) -> None:
    _needs_each_other(tree, path, block, "budget_limit", "budget_duration")
    rates = block.get("rate_limit")
    if isinstance(rates, dict):
        for limit in ("request_limit", "token_limit"):
            _needs_each_other(tree, (*path, "rate_limit"), rates, limit, f"{limit}_duration")


def _needs_each_other(tree: Tree, path: KeyPath, block: Block, limit: str, window: str) -> None:
    if block.get(limit) is not None and block.get(window) is None:
        tree.report((*path, limit), f"{window} is missing beside it", f'such as {window}: "1d"')
    if block.get(window) is not None and block.get(limit) is None:
        tree.report((*path, window), f"{limit} is missing beside it")


_STDIO_ONLY = ("args", "env", "cwd")
_HTTP_ONLY = ("headers",)


def _server_shapes(tree: Tree) -> None:
    for path, block in blocks(tree, "mcp_servers"):
        command, url = block.get("command"), block.get("url")
        if (command is None) == (url is None):
            tree.report(path, "a server needs either command (stdio) or url (HTTP)", "give exactly one of them")
            continue
        kind, other = ("command", _HTTP_ONLY) if command is not None else ("url", _STDIO_ONLY)
        for field in other:
            if field in block:
                tree.report((*path, field), f"has no meaning for a server with {kind}")
        for field in ("transport", "type"):
            transport = block.get(field)
            if isinstance(transport, str) and (transport == "stdio") != (kind == "command"):
                tree.report((*path, field), f"{tree.show((*path, field), transport)} does not fit a server with {kind}")


def _unique_prefixes(tree: Tree) -> None:
    """Names that tools are called by must lead to one server only."""
    taken: dict[str, KeyPath] = {}
    for path, block in blocks(tree, "mcp_servers"):
        aliases = block.get("aliases")
        named: list[tuple[KeyPath, Raw]] = [
            ((*path, "prefix") if "prefix" in block else path, block.get("prefix", str(path[-1]))),
            *(((*path, "aliases", at), alias) for at, alias in enumerate(aliases if isinstance(aliases, list) else ())),
        ]
        for place, name in named:
            if not isinstance(name, str):
                continue
            if name in taken:
                tree.report(place, f"{name!r} begins the tool names of {render_path(taken[name])} already")
            else:
                taken[name] = place


def _sampling_model(tree: Tree) -> None:
    mcp = tree.value.get("mcp") if isinstance(tree.value, dict) else None
    if isinstance(mcp, dict) and mcp.get("sampling") == "gateway" and mcp.get("sampling_model") is None:
        tree.report(("mcp", "sampling"), "with gateway, sampling_model must name the model that answers")


def _azure(tree: Tree) -> None:
    for path, block in blocks(tree, "providers"):
        azure = block.get("type", block.get("name")) == "azure"
        if azure and block.get("base_url") is None:
            tree.report(path, "azure needs base_url", "such as https://my-resource.openai.azure.com")
        if not azure and block.get("api_version") is not None:
            tree.report((*path, "api_version"), "has a meaning for azure only")


def _provider_keys(tree: Tree) -> None:
    for path, block in blocks(tree, "providers"):
        keys = block.get("api_keys")
        if not keys:
            continue
        if block.get("api_key") is not None:
            tree.report((*path, "api_keys"), "has no meaning beside api_key", "give one or the other")
        if block.get("auth") == "passthrough":
            tree.report((*path, "api_keys"), "has no meaning with auth: passthrough")
        seen: set[str] = set()
        for entry_path, entry in _children((*path, "api_keys"), keys):
            name = entry.get("name")
            if isinstance(name, str) and name in seen:
                tree.report((*entry_path, "name"), f"duplicate name {name!r} among this provider's keys")
            elif isinstance(name, str):
                seen.add(name)


def _embedding_source(tree: Tree) -> None:
    for path, block in blocks(tree, "semantic_cache"):
        if path[-1] != "embedding":
            continue
        named = [field for field in ("provider", "model") if block.get(field) is not None]
        if block.get("model_path") is not None and named:
            tree.report((*path, "model_path"), f"has no meaning beside {named[0]}", "give a provider or a local model")
        elif block.get("model_path") is None and len(named) < 2:
            tree.report(path, "needs provider and model, or model_path", None)


def _vector_address(tree: Tree) -> None:
    semantic = tree.value.get("semantic_cache") if isinstance(tree.value, dict) else None
    if not isinstance(semantic, dict):
        return
    store = semantic.get("vector_store")
    if store in ("redis", "weaviate") and semantic.get(f"{store}_url") is None:
        here = ("semantic_cache", "vector_store")
        tree.report(here, f"with {store}, {store}_url must say where it is")


def _foreign_bind(tree: Tree) -> None:
    """Without a name to check ``Host`` against, any web page could reach the gateway by DNS rebinding."""
    server = tree.value.get("server") if isinstance(tree.value, dict) else None
    if not isinstance(server, dict):
        return
    host = server.get("host")
    if not isinstance(host, str) or is_loopback(host) or ("server", "host") in tree.unusable:
        return
    if not server.get("public_url") and not server.get("allowed_hosts"):
        message = "an address beyond loopback needs server.public_url or server.allowed_hosts"
        tree.report(("server", "host"), message, "give the names that clients use")
