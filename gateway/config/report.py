"""The configuration as its own documentation: effective values, JSON Schema, reference page.

``python -m gateway.config.report`` prints the reference page, ``docs/configuration.md``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import yaml
from pydantic import SecretStr

from gateway.config.models import Config
from gateway.config.problems import KeyPath
from gateway.config.reference import page
from gateway.config.values import Duration, Section, ordered_fields

MASK = "***"
_URL_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_URL_QUERY = re.compile(r"(?<=\?).+$")


def effective(config: Config) -> str:
    """The whole configuration as YAML, defaults written out, in the file's order.

    Shown as ``***``: secrets (keys, header and environment values), credentials and queries of URLs, and
    whatever came from the environment, with the variables' names.
    """
    body = yaml.dump(
        _plain(config, (), config.from_environment), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120
    )
    disabled = [f"# provider {name} is disabled: {why}\n" for name, why in config.disabled_providers.items()]
    return "".join(disabled) + body


def schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of the file, for editors."""
    described = Config.model_json_schema()
    # It may be absent where the provider's name says it.
    described["$defs"]["Provider"]["required"].remove("type")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "tollkeeper.yaml", **described}


def reference_markdown() -> str:
    """The reference page: every block, every field with its type, default and description."""
    return page(schema())


def _plain(value: object, path: KeyPath, variables: Mapping[KeyPath, tuple[str, ...]]) -> object:
    if path in variables:
        return f"{MASK} ({', '.join(variables[path])})"
    if isinstance(value, SecretStr):
        return MASK
    if isinstance(value, Section):
        return {name: _plain(getattr(value, name), (*path, name), variables) for name in ordered_fields(type(value))}
    if isinstance(value, Mapping):
        return {key: _plain(child, (*path, key), variables) for key, child in value.items()}
    if isinstance(value, tuple):
        return [_plain(child, (*path, index), variables) for index, child in enumerate(value)]
    if isinstance(value, Duration):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    return _mask_url(value) if isinstance(value, str) and "://" in value else value


def _mask_url(text: str) -> str:
    return _URL_QUERY.sub(MASK, _URL_CREDENTIALS.sub(MASK, text))


class _Dumper(yaml.SafeDumper):
    """Writes dollars as they were read, without a detour over floats, and no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_dollars(dumper: _Dumper, amount: Decimal) -> yaml.ScalarNode:
    text = format(amount, "f")
    return dumper.represent_scalar(f"tag:yaml.org,2002:{'float' if '.' in text else 'int'}", text)


_Dumper.add_representer(Decimal, _represent_dollars)

if __name__ == "__main__":
    print(reference_markdown(), end="")
