"""From a file to a ``Config``: read, expand, validate, and tell every problem at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from gateway.config import checks, notes, schema_errors
from gateway.config.models import Config, Provenance
from gateway.config.problems import ConfigError, Problem
from gateway.config.source import MAX_BYTES, Node, SourceError, parse
from gateway.config.tree import Tree, build
from policies.proxies import ProxyError, from_environment

_ENVIRONMENT = "environment"

__all__ = ["ConfigError", "Loaded", "Problem", "load", "loads"]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A valid configuration and what is worth knowing about it."""

    config: Config
    notes: tuple[Problem, ...] = ()


def load(path: Path, environ: Mapping[str, str]) -> Loaded:
    """Read the file at ``path`` (YAML, UTF-8, at most 1 MiB), variables from ``environ``.

    Raises ``ConfigError`` with all problems.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError([Problem(str(path), 0, (), f"cannot be read: {error.strerror}")]) from None
    return loads(data, str(path), environ)


def loads(data: bytes, file: str, environ: Mapping[str, str]) -> Loaded:
    """As ``load``, from bytes; ``file`` is the name for messages."""
    tree = build(file, _parse(data, file), environ)
    if not isinstance(tree.value, dict):
        raise ConfigError([tree.problem((), "the file must be a mapping of blocks, such as providers:")])
    # A block whose lines are all commented out is an empty one.
    tree.value = {key: value for key, value in tree.value.items() if value is not None}
    checks.run(tree)
    proxies = _proxies(tree, environ)
    config: Config | None = None
    try:
        config = Config.model_validate(tree.value, context=Provenance(dict(tree.variables)))
    except ValidationError as error:
        schema_errors.report(tree, error)
    if config is None or tree.problems:
        raise ConfigError(tree.problems)
    return Loaded(config, (*proxies, *notes.collect(tree, config)))


def _proxies(tree: Tree, environ: Mapping[str, str]) -> list[Problem]:
    """What is worth knowing of the proxies that the environment names; a problem if one cannot be used."""
    try:
        named = from_environment(environ).by_scheme
    except ProxyError as error:
        tree.problems.append(Problem(_ENVIRONMENT, 0, (), str(error)))
        return []
    return [
        Problem(_ENVIRONMENT, 0, (), f"{scheme}:// addresses are reached through the proxy of {scheme.upper()}_PROXY")
        for scheme in named
    ]


def _parse(data: bytes, file: str) -> Node:
    try:
        return parse(data)
    except SourceError as error:
        raise ConfigError([Problem(file, error.line, (), str(error))]) from None
