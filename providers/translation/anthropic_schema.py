"""The JSON Schema of an answer, as Anthropic takes it (https://docs.claude.com/en/docs/build-with-claude/structured-outputs).

Every object must be closed by ``additionalProperties: false``, which other vendors leave to the caller, and keywords
beyond a subset are errors. The vendor's own SDKs close objects and put what remains into the description, where the
model reads it; so does this. Bedrock takes the same subset
(https://docs.aws.amazon.com/bedrock/latest/userguide/structured-output.html).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from providers.canonical.losses import Losses

_KEPT = frozenset({"$ref", "type", "enum", "const", "default", "title", "required"})
_BY_NAME = frozenset({"$defs", "definitions", "properties"})
_LISTS = {"anyOf": "anyOf", "oneOf": "anyOf", "allOf": "allOf"}
_FORMATS = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"},
)
_OPEN = "response_format.additionalProperties"


def closed_schema(schema: Any, losses: Losses) -> Any:
    """``schema`` within the subset. An object that is open by its own words cannot be asked for."""
    if not isinstance(schema, Mapping):
        return schema
    written: dict[str, Any] = {}
    told: dict[str, Any] = {}
    for name, value in schema.items():
        if name in _BY_NAME and isinstance(value, Mapping):
            written[name] = {key: closed_schema(entry, losses) for key, entry in value.items()}
        elif name in _LISTS and isinstance(value, list):
            written[_LISTS[name]] = [closed_schema(entry, losses) for entry in value]
        elif name == "items":
            written[name] = closed_schema(value, losses)
        elif name in _KEPT or _allowed(name, value):
            written[name] = value
        elif name not in ("description", "additionalProperties"):
            told[name] = value
    if _is_object(schema):
        if schema.get("additionalProperties", False) is not False:
            losses.demand(_OPEN)
        written["additionalProperties"] = False
    if description := _description(schema.get("description"), told):
        written["description"] = description
    return written


def _allowed(name: str, value: Any) -> bool:
    return (name == "format" and value in _FORMATS) or (name == "minItems" and value in (0, 1))


def _is_object(schema: Mapping[str, Any]) -> bool:
    kind = schema.get("type")
    return kind == "object" or (isinstance(kind, list) and "object" in kind) or "properties" in schema


def _description(said: Any, told: Mapping[str, Any]) -> Any:
    if not told:
        return said
    rest = msgspec.json.encode(told).decode()
    return f"{said}\n\n{rest}" if said else rest
