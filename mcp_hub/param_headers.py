"""Tool arguments that travel as HTTP headers too (``x-mcp-header``), so that what stands on the way can route by
them. The body stays the truth: a header that disagrees is refused, and the gate sends its own to members
(https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/streamable-http#custom-headers-from-tool-parameters).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from mcp_hub.wire.header_values import decode_header, encode_header

ANNOTATION = "x-mcp-header"
PREFIX = "mcp-param-"
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_TYPES = frozenset({"string", "integer", "boolean"})


@dataclass(frozen=True, slots=True)
class Mirror:
    """One argument and its header, in lower case."""

    header: str
    path: tuple[str, ...]


def mirrors_of(schema: msgspec.Raw | None) -> tuple[Mirror, ...] | None:
    """The mirrored arguments of an input schema; ``None`` when an annotation breaks the rules, which makes the
    whole tool unusable: a name that is no header name or comes twice, a value that is no primitive, a place
    that is not reached by ``properties`` alone."""
    if schema is None or bytes(schema).find(b'"x-mcp-header"') < 0:
        return ()
    found = tuple(_reachable(msgspec.json.decode(schema), ()))
    names = [name for _, _, name in found]
    valid = all(isinstance(name, str) and _TOKEN.fullmatch(name) and kind in _TYPES for _, kind, name in found)
    if not valid or len({name.lower() for name in names}) < len(names):
        return None
    if len(found) < bytes(schema).count(b'"x-mcp-header"'):
        return None
    return tuple(Mirror(PREFIX + name.lower(), path) for path, _, name in found)


def headers_for(mirrors: Sequence[Mirror], arguments: msgspec.Raw | None) -> list[tuple[str, str]]:
    """The headers that mirror ``arguments``; an argument that is absent or null has none."""
    if not mirrors:
        return []
    given = _decoded(arguments)
    values = ((mirror.header, _value(given, mirror.path)) for mirror in mirrors)
    return [(header, encode_header(_text(value))) for header, value in values if value is not None]


def disagreement(mirrors: Sequence[Mirror], arguments: msgspec.Raw | None, headers: Mapping[str, str]) -> str | None:
    """Why the headers do not mirror the arguments; ``None`` when they do."""
    if not mirrors:
        return None
    given = _decoded(arguments)
    for mirror in mirrors:
        value = _value(given, mirror.path)
        sent = headers.get(mirror.header)
        if value is None:
            continue
        if sent is None:
            return f"the header {mirror.header} is missing"
        if not _same(decode_header(sent), value):
            return f"the header {mirror.header} does not agree with the argument {'.'.join(mirror.path)}"
    return None


def _reachable(schema: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    properties = schema.get("properties") if isinstance(schema, dict) else None
    for name, inner in properties.items() if isinstance(properties, dict) else ():
        if isinstance(inner, dict):
            if ANNOTATION in inner:
                yield (*path, name), inner.get("type"), inner[ANNOTATION]
            yield from _reachable(inner, (*path, name))


def _decoded(arguments: msgspec.Raw | None) -> Any:
    try:
        return msgspec.json.decode(arguments) if arguments is not None else {}
    except RecursionError:
        return {}  # nothing that is nested so deep is mirrored


def _value(arguments: Any, path: Sequence[str]) -> str | bool | int | float | None:
    for name in path:
        arguments = arguments.get(name) if isinstance(arguments, dict) else None
    return arguments if isinstance(arguments, str | bool | int | float) else None


def _text(value: str | bool | float) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _same(sent: str | None, value: str | bool | float) -> bool:
    """Numbers agree by value: 42 and 42.0 are one."""
    if sent is None or isinstance(value, str | bool):
        return sent == _text(value)
    try:
        return float(sent) == float(value)
    except ValueError:
        return False
