"""What is worth knowing about a file that is valid: printed by ``check``, never fatal."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from gateway.config.checks import nearest
from gateway.config.limits import Granted
from gateway.config.models import Config
from gateway.config.problems import KeyPath, Problem
from gateway.config.tree import Tree
from gateway.config.values import Section
from policies.grants import Grant
from providers.presets import PRESETS

Say = Callable[[KeyPath, str, str | None], None]

MIN_KEY_BITS = 128
"""What a virtual key should hold at least, so that it cannot be guessed."""
_KEY_PREFIX = re.compile(r"^(?:vk|sk)-(?:bf-)?")


@dataclass(frozen=True, slots=True)
class Inactive:
    """A field that loads but changes nothing in this version. ``*`` in ``path`` stands for any entry.

    With ``values`` only those (compared by their beginning) are inactive.
    """

    path: tuple[str, ...]
    values: tuple[str, ...] = ()


NOT_YET_ACTIVE: tuple[Inactive, ...] = (Inactive(("server", "trusted_proxies")),)
"""The one list of what this version loads without acting on it. Delete an entry when its field works."""


def collect(tree: Tree, config: Config) -> tuple[Problem, ...]:
    """All notes on ``config``, in the order of the file's lines."""
    notes: list[Problem] = []

    def say(path: KeyPath, message: str, hint: str | None = None) -> None:
        notes.append(tree.problem(path, message, hint))

    for inactive in NOT_YET_ACTIVE:
        for path in _written(config, inactive.path, inactive.values):
            say(path, "configured but not yet active", None)
    _providers(config, say)
    _keys(config, say)
    _patterns(config, say)
    _caches(config, say)
    return tuple(sorted(notes, key=lambda note: note.line))


def _written(value: object, pattern: tuple[str, ...], values: tuple[str, ...]) -> Iterator[KeyPath]:
    """Paths of the fields that the file sets and ``pattern`` matches."""
    if not pattern:
        if not values or str(value).startswith(values):
            yield ()
        return
    head, rest = pattern[0], pattern[1:]
    for key, child in _set_children(value):
        if head in ("*", key):
            for path in _written(child, rest, values):
                yield (key, *path)


def _set_children(value: object) -> Iterable[tuple[str | int, object]]:
    if isinstance(value, Section):
        return [(name, getattr(value, name)) for name in type(value).model_fields if name in value.model_fields_set]
    if isinstance(value, Mapping):
        return list(value.items())
    return list(enumerate(value)) if isinstance(value, tuple) else []


def _providers(config: Config, say: Say) -> None:
    disabled = config.disabled_providers
    for index, provider in enumerate(config.providers):
        path = ("providers", index)
        if provider.name in disabled:
            say((*path, "api_key"), f"provider {provider.name} is disabled: {disabled[provider.name]}", None)
        elif (
            provider.api_key is None
            and not provider.api_keys
            and provider.auth == "key"
            and provider.base_url is None
            and provider.type not in ("bedrock", "vertex")
        ):
            preset = PRESETS.get(provider.type)
            if preset is None or preset.key_variable is not None:
                hint = None if preset is None else f"api_key: ${{{preset.key_variable}}}"
                say(path, f"provider {provider.name} has no api_key: its vendor will refuse calls", hint)


def _keys(config: Config, say: Say) -> None:
    for index, key in enumerate(config.virtual_keys):
        path = ("virtual_keys", index)
        if key.key is None:
            say(path, f"virtual key {key.key_name} has no key: nobody can call with it", None)
            continue
        secret = key.key.get_secret_value()
        if not secret.startswith("sha256:") and plausible_bits(secret) < MIN_KEY_BITS:
            say((*path, "key"), f"shorter than {MIN_KEY_BITS} random bits: it could be guessed", "openssl rand -hex 16")


def plausible_bits(secret: str) -> float:
    """An upper estimate of a secret's entropy: its length times the bits of the alphabet that it uses.

    A secret with few different characters for its length counts those only. Words look like random
    letters to this measure, so it finds keys that are certainly weak, not all that are.
    """
    body = _KEY_PREFIX.sub("", secret).replace("-", "")
    if not body:
        return 0.0
    different = len(set(body))
    if set(body) <= set("0123456789abcdef"):
        alphabet = 16 if any(c.isalpha() for c in body) else 10
    else:
        classes = ((str.islower, 26), (str.isupper, 26), (str.isdigit, 10), (lambda c: not c.isalnum(), 2))
        alphabet = sum(size for belongs, size in classes if any(belongs(c) for c in body))
    if different < min(alphabet, len(body)) / 3:
        alphabet = different
    return len(body) * math.log2(alphabet)


def _patterns(config: Config, say: Say) -> None:
    servers = list(config.mcp_servers)
    payers: dict[str, tuple[Granted, ...]] = {
        "customers": config.customers,
        "teams": config.teams,
        "virtual_keys": config.virtual_keys,
    }
    for section, entries in payers.items():
        for index, entry in enumerate(entries):
            for field in ("allowed_tools", "allowed_resources", "allowed_prompts"):
                for at, pattern in enumerate(getattr(entry, field) or ()):
                    _judge_pattern((section, index, field, at), pattern, servers, say)
    for section, table in (("tool_prices", config.tool_prices), ("tool_cache", config.tool_cache)):
        for pattern in table:
            _judge_pattern((section, pattern), pattern, servers, say)


def _caches(config: Config, say: Say) -> None:
    cache, semantic = config.cache, config.semantic_cache
    if semantic.enabled and semantic.embedding is None:
        say(("semantic_cache",), "without embedding the exact layer works alone", None)
    elif semantic.enabled and semantic.vector_store == "qdrant" and semantic.qdrant_url is None:
        say(("semantic_cache",), "without qdrant_url vectors are kept in this process", None)
    if (cache.enabled or semantic.enabled) and cache.participation == "header" and cache.default_cache_key is None:
        at = "cache" if cache.enabled else "semantic_cache"
        say((at,), "only requests with x-bf-cache-key take part", "cache: {participation: always}")
    if cache.cache_scope != "key":
        say(("cache", "cache_scope"), f"keys of one {cache.cache_scope} see one another's answers", None)


def _judge_pattern(path: KeyPath, pattern: str, servers: list[str], say: Say) -> None:
    bare = pattern.removeprefix("!")
    if "/" not in bare and "*" not in bare:
        say(path, "matches nothing: a pattern is server/name", None)
    elif not any(Grant.of([bare]).touches(f"{server}/") for server in servers):
        hint = nearest(bare.split("/", 1)[0], servers)
        say(path, "matches no configured MCP server", hint)
