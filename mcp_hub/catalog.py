"""What one member offers: an immutable snapshot, read page by page, and how reading it ended.

Items stay raw JSON; only their names are looked at. A member that fails keeps its last snapshot, with
its age, and says why (law 8).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec

from mcp_hub.error_codes import METHOD_NOT_FOUND
from mcp_hub.param_headers import Mirror, mirrors_of
from mcp_hub.seams import Era, MemberFault, RawObject, Reply, RpcError, Session

ItemKind = Literal["tools", "resources", "templates", "prompts"]

MAX_PAGES = 1_000
MAX_ITEMS = 100_000
LIST_TIMEOUT_S = 30.0

_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_items = msgspec.json.Decoder(list[dict[str, msgspec.Raw]]).decode
_string = msgspec.json.Decoder(str).decode


@dataclass(frozen=True, slots=True)
class Item:
    """One tool, prompt (``name``), resource (URI) or template (URI template), otherwise untouched."""

    name: str
    raw: RawObject
    mirrors: tuple[Mirror, ...] = ()
    """Arguments of a tool that travel as headers too."""
    changes: bool = False
    """The tool's own annotations say that it changes something."""


@dataclass(frozen=True, slots=True)
class Listing:
    """How one kind is listed: the method, the array's field, the field that names an item."""

    kind: ItemKind
    method: str
    field: str
    name: str
    capability: str


LISTINGS = (
    Listing("tools", "tools/list", "tools", "name", "tools"),
    Listing("prompts", "prompts/list", "prompts", "name", "prompts"),
    Listing("resources", "resources/list", "resources", "uri", "resources"),
    Listing("templates", "resources/templates/list", "resourceTemplates", "uriTemplate", "resources"),
)


@dataclass(frozen=True, slots=True)
class MemberSnapshot:
    """Everything that a member offered at one moment."""

    server: str
    era: Era
    capabilities: frozenset[str]
    subscribes: bool
    """It tells when a resource changes."""
    instructions: str | None
    items: Mapping[ItemKind, tuple[Item, ...]]
    unusable: int
    """Items without a usable name or with broken annotations: left out."""
    digest: str
    taken_ns: int
    fresh_s: float | None = None
    """For how long its lists hold by its own word (the shortest ``ttlMs``); ``None``: it did not say."""


async def read_member(server: str, session: Session, now_ns: int) -> MemberSnapshot | MemberFault:
    """Read all lists of a member, every page."""
    lists: dict[ItemKind, _Read] = {}
    for listing in LISTINGS:
        if listing.capability not in session.capabilities:
            lists[listing.kind] = _Read()
            continue
        found = await _read_list(session, listing)
        if isinstance(found, MemberFault):
            return found
        lists[listing.kind] = found
    items = {kind: read.items for kind, read in lists.items()}
    return MemberSnapshot(
        server=server,
        era=session.era,
        capabilities=frozenset(session.capabilities),
        subscribes=_subscribes(session.capabilities.get("resources")),
        instructions=session.instructions,
        items=items,
        unusable=sum(read.unusable for read in lists.values()),
        digest=_digest(items, session.instructions),
        taken_ns=now_ns,
        fresh_s=min((read.fresh_s for read in lists.values() if read.fresh_s is not None), default=None),
    )


@dataclass(frozen=True, slots=True)
class _Read:
    """One list as it was read."""

    items: tuple[Item, ...] = ()
    unusable: int = 0
    fresh_s: float | None = None


class _Resources(msgspec.Struct):
    subscribe: bool = False


def _subscribes(capability: msgspec.Raw | None) -> bool:
    try:
        return capability is not None and msgspec.json.decode(capability, type=_Resources).subscribe
    except msgspec.MsgspecError:
        return False


async def _read_list(session: Session, listing: Listing) -> _Read | MemberFault:
    found: dict[str, Item] = {}
    unusable = 0
    fresh_s: float | None = None
    cursor: msgspec.Raw | None = None
    seen: set[bytes] = set()
    for _ in range(MAX_PAGES):
        params: dict[str, msgspec.Raw] = {} if cursor is None else {"cursor": cursor}
        reply: Reply = await session.request(listing.method, params, timeout=LIST_TIMEOUT_S)
        if isinstance(reply, MemberFault):
            return reply
        if isinstance(reply, RpcError):
            if reply.code == METHOD_NOT_FOUND:  # declared, but not there: many servers do so for templates
                return _Read()
            return _fault("member_list_failed", f"{listing.method} failed: {reply.message} ({reply.code})")
        page = _page(reply, listing)
        if page is None:
            return _fault("member_invalid_reply", f"{listing.method} answered without a list of {listing.field!r}.")
        raws, cursor, hint_s = page
        fresh_s = hint_s if fresh_s is None else fresh_s if hint_s is None else min(fresh_s, hint_s)
        for raw in raws:
            name = _name(raw.get(listing.name))
            mirrors = mirrors_of(raw.get("inputSchema")) if listing.kind == "tools" else ()
            if name is None or name in found or mirrors is None:
                unusable += 1
            else:
                found[name] = Item(name, raw, mirrors, changes=listing.kind == "tools" and _changes(raw))
        if len(found) > MAX_ITEMS:
            return _fault("member_list_too_long", f"{listing.method} lists more than {MAX_ITEMS} items.")
        if cursor is None:
            return _Read(tuple(found.values()), unusable, fresh_s)
        if bytes(cursor) in seen:
            return _fault("member_list_endless", f"{listing.method} returned the same cursor twice.")
        seen.add(bytes(cursor))
    return _fault("member_list_too_long", f"{listing.method} has more than {MAX_PAGES} pages.")


def _page(
    reply: msgspec.Raw, listing: Listing
) -> tuple[list[dict[str, msgspec.Raw]], msgspec.Raw | None, float | None] | None:
    """The items, the next cursor, and the seconds for which the page holds."""
    try:
        fields = _object(reply)
        raws = _items(fields[listing.field])
    except (msgspec.MsgspecError, KeyError):
        return None
    cursor = fields.get("nextCursor")
    after = None if cursor is None or bytes(cursor) == b"null" else cursor.copy()
    return raws, after, _fresh_s(fields.get("ttlMs"))


def _fresh_s(raw: msgspec.Raw | None) -> float | None:
    """Zero says that it is stale at once, which nobody could obey: like no word at all."""
    try:
        ttl_ms = msgspec.json.decode(raw, type=float) if raw is not None else 0.0
    except msgspec.MsgspecError:
        return None
    return ttl_ms / 1000 if ttl_ms > 0 else None


def _name(raw: msgspec.Raw | None) -> str | None:
    if raw is None:
        return None
    try:
        return _string(raw) or None
    except msgspec.MsgspecError:
        return None


class _Annotations(msgspec.Struct):
    readOnlyHint: bool | None = None  # noqa: N815 - the wire's own name
    destructiveHint: bool | None = None  # noqa: N815 - the wire's own name


def _changes(tool: RawObject) -> bool:
    """Said in so many words: a tool without annotations has said nothing."""
    raw = tool.get("annotations")
    try:
        said = msgspec.json.decode(raw, type=_Annotations) if raw is not None else None
    except msgspec.MsgspecError:
        return False
    return said is not None and (said.readOnlyHint is False or (said.destructiveHint is True and not said.readOnlyHint))


def _digest(items: Mapping[ItemKind, tuple[Item, ...]], instructions: str | None) -> str:
    digest = hashlib.sha256((instructions or "").encode())
    for kind in sorted(items):
        for item in items[kind]:
            digest.update(msgspec.json.encode(item.raw))
    return digest.hexdigest()


def _fault(code: str, message: str) -> MemberFault:
    return MemberFault(code=code, message=message, stage="answer", sent=True)
