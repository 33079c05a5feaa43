"""Gemini's ``Schema``, a part of OpenAPI 3.0 (https://ai.google.dev/api/caching#Schema), as JSON Schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from providers.translation.gemini_wire import camel_name

_NUMBERS = frozenset({"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"})
"""64-bit numbers, which may be written as strings."""
_SCHEMAS = frozenset({"items", "additionalProperties"})
_LISTS = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
_NAMED = frozenset({"properties", "defs", "$defs"})
_RENAMED = {"ref": "$ref", "defs": "$defs"}


def json_schema(schema: Any) -> Any:
    """The same schema in JSON Schema's words, order kept; what is no schema stays as it is."""
    if not isinstance(schema, dict):
        return schema
    found: dict[str, Any] = {}
    for written, value in schema.items():
        name = camel_name(written)
        if name in ("nullable", "type") or value is None:
            continue
        found[_RENAMED.get(name, name)] = _value(name, value)
    kind = _type(schema)
    return found if kind is None else {"type": kind, **found}


def _value(name: str, value: Any) -> Any:
    if name in _SCHEMAS:
        return json_schema(value)
    if name in _LISTS and isinstance(value, list):
        return [json_schema(entry) for entry in value]
    if name in _NAMED and isinstance(value, dict):
        return {key: json_schema(entry) for key, entry in value.items()}
    if name in _NUMBERS and isinstance(value, str) and value.isdecimal():
        return int(value)
    return value


def _type(schema: Mapping[str, Any]) -> Any:
    kind = schema.get("type")
    if not isinstance(kind, str):
        return kind
    kind = kind.lower()
    if kind == "type_unspecified":
        return None
    return [kind, "null"] if schema.get("nullable") is True and kind != "null" else kind
