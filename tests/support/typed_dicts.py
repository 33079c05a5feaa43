"""Checks a decoded JSON value against a vendor SDK's own types, strictly: no unknown key, no missing one, no other type.

The SDKs' request types are ``TypedDict``s, which nothing enforces by itself.
"""

from __future__ import annotations

import types
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any, Literal, NotRequired, Required, Union, get_args, get_origin

from typing_extensions import get_type_hints, is_typeddict


def problems(value: Any, kind: Any, path: str = "$") -> list[str]:
    """Where ``value`` is not a ``kind``; empty if it is one."""
    origin = get_origin(kind)
    if origin in (Annotated, Required, NotRequired):
        return problems(value, get_args(kind)[0], path)
    if kind in (Any, object):
        return []
    if origin in (Union, types.UnionType):
        return _any_of(value, get_args(kind), path)
    if origin is Literal:
        return [] if value in get_args(kind) else [f"{path}: {value!r} is none of {get_args(kind)}"]
    if is_typeddict(kind):
        return _fields(value, kind, path)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _mapping(value, get_args(kind), path)
    if isinstance(origin, type) and issubclass(origin, Iterable):
        return _items(value, get_args(kind), path)
    return _scalar(value, kind, path)


def _any_of(value: Any, kinds: Sequence[Any], path: str) -> list[str]:
    """The problems of the nearest alternative: one that names the value's ``type`` or ``role``, or has the fewest."""
    found = [problems(value, kind, path) for kind in kinds]
    if any(not one for one in found):
        return []
    tag = [f"{path}.{name}: " for name in ("type", "role")]
    close = [one for one in found if not any(said.startswith(tuple(tag)) for said in one)]
    return min(close or found, key=lambda one: (-min(len(said.partition(": ")[0]) for said in one), len(one)))


def _fields(value: Any, kind: Any, path: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{path}: {type(value).__name__} is not an object"]
    hints = _hints(kind)
    extra = getattr(kind, "__pydantic_config__", {}).get("extra") == "allow"
    # Not ``__required_keys__``: behind postponed annotations it does not see ``Required``.
    required = (name for name, hint in hints.items() if get_origin(hint) is Required)
    found = [f"{path}: {name!r} is missing" for name in required if name not in value]
    for name, item in value.items():
        if name in hints:
            found += problems(item, hints[name], f"{path}.{name}")
        elif not extra:
            found.append(f"{path}: unknown key {name!r}")
    return found


@lru_cache(maxsize=512)
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


def _mapping(value: Any, arguments: Sequence[Any], path: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{path}: {type(value).__name__} is not an object"]
    item = arguments[1] if len(arguments) == 2 else Any
    return [said for name, part in value.items() for said in problems(part, item, f"{path}.{name}")]


def _items(value: Any, arguments: Sequence[Any], path: str) -> list[str]:
    if not isinstance(value, list):
        return [f"{path}: {type(value).__name__} is not an array"]
    item = arguments[0] if arguments else Any
    return [said for n, part in enumerate(value) for said in problems(part, item, f"{path}[{n}]")]


def _scalar(value: Any, kind: Any, path: str) -> list[str]:
    if kind is type(None) or kind is None:
        good = value is None
    elif kind is float:
        good = isinstance(value, int | float) and not isinstance(value, bool)
    elif kind is int:
        good = isinstance(value, int) and not isinstance(value, bool)
    elif isinstance(kind, type) and kind in (str, bool, dict, list):
        good = isinstance(value, kind)
    else:
        good = False  # file objects and the like, which JSON cannot hold
    return [] if good else [f"{path}: {value!r:.80} is not a {getattr(kind, '__name__', kind)}"]
