"""The schema's verdicts in the words of the file: key path, line, and what would be right."""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any, Union, get_args, get_origin

from pydantic import ValidationError

from gateway.config.checks import nearest
from gateway.config.models import Config
from gateway.config.problems import KeyPath
from gateway.config.tree import Raw, Tree
from gateway.config.values import Section

_MESSAGES: Mapping[str, str] = {
    "missing": "is required",
    "extra_forbidden": "unknown key",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "string_type": "must be a text",
    "tuple_type": "must be a list, such as [a, b]",
    "dict_type": "must be a mapping of key: value",
    "model_type": "must be a mapping of key: value",
    "string_pattern_mismatch": "must begin with a letter or digit and contain only letters, digits, . _ and -",
    "datetime_parsing": "must be a moment such as 2027-01-01T00:00:00Z",
    "datetime_from_date_parsing": "must be a moment such as 2027-01-01T00:00:00Z",
    "timezone_aware": "needs a time zone, such as 2027-01-01T00:00:00Z",
}


def report(tree: Tree, error: ValidationError) -> None:
    """Add one problem for each of the schema's errors, except at values that already have one."""
    for detail in error.errors(include_url=False, include_input=False):
        kind, context = detail["type"], detail.get("ctx", {})
        path = _file_path(tree.value, detail["loc"], ends_outside=kind in ("missing", "extra_forbidden"))
        if any(path[:length] in tree.unusable for length in range(len(path) + 1)):
            continue
        message = str(context["error"]) if kind == "value_error" else _MESSAGES.get(kind)
        if kind == "literal_error":
            message = f"must be {context['expected']}"
        if message is None:
            message = detail["msg"].replace("Input should", "must").replace("String should", "must")
        tree.report(path, message, _hint(tree, kind, path, context))


def _hint(tree: Tree, kind: str, path: KeyPath, context: Mapping[str, Any]) -> str | None:
    if kind == "extra_forbidden":
        return nearest(str(path[-1]), fields_at(path[:-1]))
    if _is_provider_type(path):
        return "a provider whose name is no known type needs one: type: openai is any OpenAI-compatible endpoint"
    if kind == "literal_error":
        value = _value_at(tree.value, path)
        expected = [word.strip("'") for word in context["expected"].replace(" or ", ", ").split(", ")]
        return nearest(value, expected) if isinstance(value, str) else None
    return None


def _is_provider_type(path: KeyPath) -> bool:
    return len(path) == 3 and path[0] == "providers" and path[2] == "type"


def _file_path(value: Raw, loc: tuple[str | int, ...], *, ends_outside: bool) -> KeyPath:
    """``loc`` without the schema's own segments (union members, ``[key]``): what stands in the file."""
    path: list[str | int] = []
    for index, part in enumerate(loc):
        if isinstance(value, dict) and part in value:
            value = value[str(part)]
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
        elif not (ends_outside and index == len(loc) - 1):
            continue
        path.append(part)
    return tuple(path)


def _value_at(value: Raw, path: KeyPath) -> Raw:
    for part in path:
        if isinstance(value, dict):
            value = value.get(str(part))
        elif isinstance(value, list) and isinstance(part, int):
            value = value[part]
    return value


def fields_at(path: KeyPath) -> list[str]:
    """The keys that the schema knows at ``path``: ``("teams", 0)`` gives those of a team."""
    section: type[Section] | None = Config
    inside_names = False
    for part in path:
        if isinstance(part, int) or inside_names:
            inside_names = False
            continue
        field = section.model_fields.get(part) if section else None
        if field is None:
            return []
        section, inside_names = _section_in(field.annotation), _has_dict(field.annotation)
    return list(section.model_fields) if section else []


def _section_in(annotation: Any) -> type[Section] | None:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return next((found for arg in get_args(annotation) if (found := _section_in(arg)) is not None), None)


def _has_dict(annotation: Any) -> bool:
    if get_origin(annotation) is dict:
        return True
    is_union = get_origin(annotation) in (Union, types.UnionType) or hasattr(annotation, "__metadata__")
    return is_union and any(_has_dict(arg) for arg in get_args(annotation))
