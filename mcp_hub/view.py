"""What one key sees of the hub: filtered, named and framed once per change, not once per call.

A view is made of the members' snapshots by the same admission that judges calls. It holds the table
from exposed names back to (server, original) and the lists as bytes that only need a request id.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from mcp_hub.catalog import LISTINGS, Item, ItemKind, Listing, MemberSnapshot
from mcp_hub.naming import exposed_name
from mcp_hub.seams import Era
from policies.admission import Grants, SubjectKind

_SUBJECTS: Mapping[ItemKind, SubjectKind] = {
    "tools": "tool",
    "prompts": "prompt",
    "resources": "resource",
    "templates": "resource",
}
_OBJECT_TYPE = b'"object"'
_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an exposed item comes from."""

    server: str
    name: str


@dataclass(frozen=True, slots=True)
class ListBytes:
    """One list, framed for both eras: ``[{…},{…}]``."""

    modern: bytes
    legacy: bytes
    digest: str
    count: int


@dataclass(frozen=True, slots=True)
class View:
    """Everything that one key may see, on the whole hub or on one server."""

    tools: Mapping[str, Origin]
    prompts: Mapping[str, Origin]
    resources: Mapping[str, Origin]
    templates: Mapping[str, Origin]
    lists: Mapping[ItemKind, ListBytes]
    servers: tuple[str, ...]
    """The servers that this key may know of."""

    def array(self, kind: ItemKind, era: Era) -> bytes:
        found = self.lists[kind]
        return found.modern if era == "modern" else found.legacy


def build_view(
    snapshots: Sequence[MemberSnapshot], servers: Iterable[str], grants: Grants, *, prefix: bool, client_prefix: int
) -> View:
    """Filter ``snapshots`` (in configured order) by ``grants``; ``prefix=False`` keeps own names."""
    tables: dict[ItemKind, dict[str, Origin]] = {}
    lists: dict[ItemKind, ListBytes] = {}
    for listing in LISTINGS:
        table: dict[str, Origin] = {}
        shown: list[tuple[str, Item]] = []
        for snapshot in snapshots:
            for item in snapshot.items[listing.kind]:
                if not grants.allows(_SUBJECTS[listing.kind], snapshot.server, item.name):
                    continue
                named = prefix and listing.name == "name"
                name = exposed_name(snapshot.server, item.name, client_prefix) if named else item.name
                if name not in table:  # a URI that two members offer is the first one's
                    table[name] = Origin(snapshot.server, item.name)
                    shown.append((name, item))
        tables[listing.kind] = table
        lists[listing.kind] = _frame(listing, shown)
    return View(
        tools=tables["tools"],
        prompts=tables["prompts"],
        resources=tables["resources"],
        templates=tables["templates"],
        lists=lists,
        servers=tuple(servers),
    )


def _frame(listing: Listing, shown: Sequence[tuple[str, Item]]) -> ListBytes:
    rendered = [_render(listing, name, item) for name, item in shown]
    modern = b"[" + b",".join(rendered) + b"]"
    if listing.kind == "tools":
        older = [_for_legacy(item, text) for (_, item), text in zip(shown, rendered, strict=True)]
        legacy = b"[" + b",".join(older) + b"]"
    else:
        legacy = modern
    return ListBytes(modern, legacy, hashlib.sha256(modern).hexdigest(), len(shown))


def _render(listing: Listing, name: str, item: Item) -> bytes:
    if listing.name == "name" and name != item.name:
        return msgspec.json.encode({**item.raw, "name": name})
    return msgspec.json.encode(item.raw)


def _for_legacy(item: Item, rendered: bytes) -> bytes:
    """Before 2026-07-28 an output schema must be an object's; a client of then refuses the whole list
    for one that is not, so the field is left out for that tool."""
    schema = item.raw.get("outputSchema")
    if schema is None or _is_object_schema(schema):
        return rendered
    fields = _object(rendered)
    del fields["outputSchema"]
    return msgspec.json.encode(fields)


def _is_object_schema(schema: msgspec.Raw) -> bool:
    try:
        fields = _object(schema)
    except msgspec.MsgspecError:
        return False
    return bytes(fields.get("type", b"")) == _OBJECT_TYPE
