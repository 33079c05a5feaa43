"""What one key sees of the hub: filtered, named and framed once per change, not once per call.

A view is made of the members' snapshots by the same admission that judges calls. It holds the table
from exposed names back to (server, original) and the lists as bytes that only need a request id.

A resource's URI is exposed as it is, because clients and pages read meaning into it. When a second member
offers the same one, the second is exposed as ``tollkeeper:<server>/<uri>``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from mcp_hub.catalog import LISTINGS, Item, ItemKind, Listing, MemberSnapshot
from mcp_hub.naming import exposed_name
from mcp_hub.outcome import MemberOutcome
from mcp_hub.param_headers import Mirror
from mcp_hub.seams import Era
from policies.admission import Grants, SubjectKind
from policies.types import CallKind

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
    mirrors: tuple[Mirror, ...] = ()
    changes: bool = False
    """The tool says that it changes something."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One member's part of a view: what it offers, and how its names begin."""

    snapshot: MemberSnapshot
    prefix: str
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Naming:
    """How names are exposed. ``prefix``: beside other servers; ``client_prefix``: characters kept for the
    client's own prefix; ``page_size``: items on one page of a list."""

    prefix: bool
    client_prefix: int
    page_size: int


@dataclass(frozen=True, slots=True)
class ListBytes:
    """One list, page by page, framed for both eras: ``[{…},{…}]``."""

    modern: tuple[bytes, ...]
    legacy: tuple[bytes, ...]
    digest: str
    count: int


Frame = tuple[bytes, bytes]
"""What a response says before and after the array of a list."""


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
    renamed: Mapping[str, Mapping[str, str]]
    """By server: its resources whose URIs are exposed otherwise."""
    unwell: tuple[MemberOutcome, ...]
    """Those of the servers that are not well."""
    frames: dict[tuple[ItemKind, Era, int], Frame] = field(default_factory=dict)
    """What stands around the pages of the lists, once they were asked for."""

    def listed(self, kind: CallKind) -> Mapping[str, Origin]:
        """By exposed name, the things of ``kind`` that a list names."""
        if kind == "tool":
            return self.tools
        return self.prompts if kind == "prompt" else self.resources

    def pages(self, kind: ItemKind, era: Era) -> tuple[bytes, ...]:
        found = self.lists[kind]
        return found.modern if era == "modern" else found.legacy


def wrapped_uri(server: str, uri: str) -> str:
    """How the URI of ``server`` is exposed when another member has it already."""
    return f"tollkeeper:{server}/{uri}"


def own_uri(server: str, uri: str) -> str:
    """The member's own form of an exposed URI."""
    return uri.removeprefix(f"tollkeeper:{server}/")


def build_view(members: Sequence[Shown], known: Sequence[MemberOutcome], grants: Grants, naming: Naming) -> View:
    """Filter ``members`` (in configured order) by ``grants``; ``known``: how all servers are that it may know of."""
    tables: dict[ItemKind, dict[str, Origin]] = {}
    lists: dict[ItemKind, ListBytes] = {}
    renamed: dict[str, dict[str, str]] = {}
    for listing in LISTINGS:
        table: dict[str, Origin] = {}
        aliases: dict[str, Origin] = {}
        shown: list[tuple[str, Item]] = []
        for member in members:
            server = member.snapshot.server
            for item in member.snapshot.items[listing.kind]:
                if not grants.allows(_SUBJECTS[listing.kind], server, item.name):
                    continue
                origin = Origin(server, item.name, item.mirrors, item.changes)
                name = _exposed(listing, member.prefix, item.name, naming)
                if name in table and listing.name != "name":
                    name = wrapped_uri(server, item.name)
                    renamed.setdefault(server, {})[item.name] = name
                if name not in table:
                    table[name] = origin
                    shown.append((name, item))
                for alias in member.aliases:
                    aliases.setdefault(_exposed(listing, alias, item.name, naming), origin)
        tables[listing.kind] = {**aliases, **table}
        lists[listing.kind] = _frame(listing, shown, naming.page_size)
    return View(
        tools=tables["tools"],
        prompts=tables["prompts"],
        resources=tables["resources"],
        templates=tables["templates"],
        lists=lists,
        servers=tuple(outcome.server for outcome in known),
        renamed=renamed,
        unwell=tuple(outcome for outcome in known if outcome.state != "ok"),
    )


def _exposed(listing: Listing, prefix: str, name: str, naming: Naming) -> str:
    named = naming.prefix and listing.name == "name"
    return exposed_name(prefix, name, naming.client_prefix) if named else name


def _frame(listing: Listing, shown: Sequence[tuple[str, Item]], page_size: int) -> ListBytes:
    modern = [_render(listing, name, item) for name, item in shown]
    legacy = modern
    if listing.kind == "tools":
        legacy = [_for_legacy(item, text) for (_, item), text in zip(shown, modern, strict=True)]
    digest = hashlib.sha256(b"\0".join(modern)).hexdigest()
    return ListBytes(_pages(modern, page_size), _pages(legacy, page_size), digest, len(shown))


def _pages(items: Sequence[bytes], size: int) -> tuple[bytes, ...]:
    starts = range(0, max(1, len(items)), size)
    return tuple(b"[" + b",".join(items[start : start + size]) + b"]" for start in starts)


def _render(listing: Listing, name: str, item: Item) -> bytes:
    if name != item.name:
        return msgspec.json.encode({**item.raw, listing.name: name})
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
