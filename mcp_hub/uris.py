"""URIs in results: where they were handed out, and how they are exposed.

A tool may answer with links to resources that no list names. Whoever got one may read it, so the origin of
every URI is remembered for the principal that it was handed to. A URI that is exposed in another form
(``mcp_hub.view``) appears in that form in results too.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

MOST_PRINCIPALS = 10_000
MOST_PER_PRINCIPAL = 1_000
MOST_BYTES = 1024 * 1024
"""Larger results are not searched for links."""
_MARKS = (b'"resource_link"', b'"resource"')
_LISTS = ("content", "contents", "messages")


class HandedUris:
    """By principal, which server a URI came from; the oldest are forgotten."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, OrderedDict[str, str]] = OrderedDict()

    def remember(self, principal: str, server: str, result: msgspec.Raw) -> None:
        """Note the links of a tool's or a prompt's result."""
        text = bytes(result)
        if b'"resource' not in text or len(text) > MOST_BYTES or not any(mark in text for mark in _MARKS):
            return
        known = self._known.setdefault(principal, OrderedDict())
        self._known.move_to_end(principal)
        if len(self._known) > MOST_PRINCIPALS:
            self._known.popitem(last=False)
        for holder in _holders(_decoded(result)):
            known[holder["uri"]] = server
            known.move_to_end(holder["uri"])
            if len(known) > MOST_PER_PRINCIPAL:
                known.popitem(last=False)

    def server(self, principal: str, uri: str) -> str | None:
        """Who handed ``uri`` to ``principal``."""
        known = self._known.get(principal)
        return known.get(uri) if known is not None else None


def expose(result: msgspec.Raw, renamed: Mapping[str, str]) -> msgspec.Raw:
    """The result with the member's own URIs in their exposed form."""
    decoded = _decoded(result)
    if decoded is None:
        return result
    for holder in _holders(decoded):
        holder["uri"] = renamed.get(holder["uri"], holder["uri"])
    return msgspec.Raw(msgspec.json.encode(decoded))


def _decoded(result: msgspec.Raw) -> Any:
    """``None`` for a result that is nested too deep to be looked into."""
    try:
        return msgspec.json.decode(result)
    except RecursionError:
        return None


def _holders(result: Any) -> Iterator[dict[str, Any]]:
    """Every object of a result whose ``uri`` names a resource."""
    if not isinstance(result, dict):
        return
    for field in _LISTS:
        items = result.get(field)
        for item in items if isinstance(items, list) else ():
            block = item.get("content", item) if isinstance(item, dict) else None
            for found in block if isinstance(block, list) else (block,):
                inner = found.get("resource", found) if isinstance(found, dict) else None
                if isinstance(inner, dict) and isinstance(inner.get("uri"), str):
                    yield inner
