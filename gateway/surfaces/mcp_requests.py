"""What an MCP request amounts to: lists and facts from memory, calls for the passage.

Between the wire (``mcp_hub.wire``, pure) and HTTP (``gateway.surfaces.mcp``): everything here works on
decoded messages and returns answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from gateway.surfaces.mcp_answers import Answer, error_status
from gateway.surfaces.runs import LIMITS_HEADER, MAX_RUN_LENGTH, trace_id
from mcp_hub.bridge import Client
from mcp_hub.caching import CALLER_META
from mcp_hub.catalog import ItemKind
from mcp_hub.cursors import Cursors
from mcp_hub.dispatch import MemberCall
from mcp_hub.error_codes import INVALID_PARAMS
from mcp_hub.hub import Hub
from mcp_hub.seams import MODERN_VERSION, Era
from mcp_hub.subscriptions import Viewer
from mcp_hub.templates import match_template
from mcp_hub.view import Frame, Origin, View, own_uri
from mcp_hub.way import Way
from mcp_hub.wire import legacy, modern
from mcp_hub.wire.messages import (
    Message,
    WireError,
    error_bytes,
    framed_bytes,
    required_string,
    result_bytes,
    string_of,
)
from policies.ids import new_call_id
from policies.runs import ToolUseIndex
from policies.types import CallContext, CallKind

OUTCOMES_META = "io.tollkeeper/outcomes"
MAX_INSTRUCTIONS = 4_000
"""Characters kept of one server's instructions: they go into the model's prompt."""

LISTS: Mapping[str, tuple[ItemKind, str]] = {
    "tools/list": ("tools", "tools"),
    "prompts/list": ("prompts", "prompts"),
    "resources/list": ("resources", "resources"),
    "resources/templates/list": ("templates", "resourceTemplates"),
}
CALLS: Mapping[str, CallKind] = {
    "tools/call": "tool",
    "prompts/get": "prompt",
    "resources/read": "resource",
    "completion/complete": "completion",
}
TOOL_USE_META = ("claudecode/toolUseId", "callId")
"""Where Claude Code and Codex say which tool use a call belongs to."""
_SURFACES: Mapping[Era, str] = {"modern": "mcp_modern", "legacy": "mcp_legacy"}


class Asker(Viewer, frozen=True, eq=False, kw_only=True):
    """Who asks, on which endpoint, in which era."""

    era: Era
    session: str | None = None
    version: str = MODERN_VERSION

    @property
    def bound(self) -> bytes:
        """Whom a token for this asker is bound to."""
        return f"{self.key.principal.key}\0{self.server or ''}".encode()


@dataclass(frozen=True, slots=True)
class Presentation:
    """How the gate presents itself to MCP clients."""

    server_info: Mapping[str, str]
    instructions: str | None = None


class McpRequests:
    """Answers what needs no member, and prepares what does."""

    def __init__(
        self,
        hub: Hub,
        tool_uses: ToolUseIndex,
        clock: Callable[[], int],
        cursors: Cursors,
        presentation: Presentation,
    ) -> None:
        server_info, instructions = presentation.server_info, presentation.instructions
        self._cursors = cursors
        self._hub = hub
        self._tool_uses = tool_uses
        self._clock = clock
        self._server_info = dict(server_info)
        self._instructions = instructions
        self._plain_meta = msgspec.json.encode({modern.META_SERVER_INFO: self._server_info})

    def list_answer(self, asker: Asker, message: Message, request_id: bytes) -> Answer:
        """A page of a list, from memory."""
        method = message.method or ""
        kind, field = LISTS[method]
        view = self._hub.view(asker)
        pages, digest = view.pages(kind, asker.era), view.lists[kind].digest
        page = self._page(asker, message, digest)
        if page is None or page >= len(pages):
            text = "Invalid cursor"
            return Answer(error_status(asker.era, INVALID_PARAMS), error_bytes(request_id, INVALID_PARAMS, text))
        frame = view.frames.get((kind, asker.era, page))
        if frame is None:
            cursor = self._cursors.seal(asker.bound, method, digest, page + 1) if page + 1 < len(pages) else None
            frame = self._frame(asker.era, field, cursor, view)
            if not view.unwell:  # else it tells ages, which change
                view.frames[kind, asker.era, page] = frame
        return Answer(200, framed_bytes(request_id, frame, pages[page]))

    def _frame(self, era: Era, field: str, cursor: str | None, view: View) -> Frame:
        now = self._clock() if view.unwell else 0
        outcomes = [outcome.render(now) for outcome in view.unwell]
        if era == "modern":
            meta = self._plain_meta if not outcomes else self._meta(outcomes)
            return modern.list_frame(field, meta, cursor=cursor, fresh=not outcomes)
        told = msgspec.json.encode({OUTCOMES_META: outcomes}) if outcomes else None
        return legacy.list_frame(field, told, cursor)

    def _page(self, asker: Asker, message: Message, digest: str) -> int | None:
        raw = message.params.get("cursor")
        if raw is None or bytes(raw) == b"null":
            return 0
        return self._cursors.page(string_of(raw) or "", asker.bound, message.method or "", digest)

    def discover(self, asker: Asker, request_id: bytes) -> Answer:
        meta = {modern.META_SERVER_INFO: self._server_info}
        result = modern.discover_result(self._capabilities(asker), self._instructions_for(asker), meta)
        return Answer(200, result_bytes(request_id, result))

    def initialize(self, asker: Asker, version: str, request_id: bytes) -> Answer:
        result = legacy.initialize_result(
            version, self._capabilities(asker), self._instructions_for(asker), self._server_info
        )
        return Answer(200, result_bytes(request_id, result))

    def call(self, asker: Asker, message: Message, client: Client) -> MemberCall:
        """A request for a member, resolved by the asker's own view. Raises ``WireError``."""
        kind = CALLS[message.method or ""]
        if kind == "completion":
            return self._completion(asker, message, client)
        name = required_string(message, "uri" if kind == "resource" else "name")
        way = self._hub.way(asker, kind, name)
        if way is None and kind == "resource":
            way = self._way_to(asker, self._unlisted(asker, name))
        return MemberCall(
            kind=kind,
            asked=name,
            way=way,
            params=message.params,
            meta=message.meta,
            session=asker.session,
            client=client,
        )

    def context(self, asker: Asker, message: Message, started_ns: int, headers: Mapping[str, str]) -> CallContext:
        """Run and parent, as far as the client tells (design: runs)."""
        meta = message.meta
        tool_use_id = session = traceparent = None
        if not CALLER_META.isdisjoint(meta):
            tool_use_id = _said(meta, *TOOL_USE_META)
            session, traceparent = _said(meta, "sessionId"), _said(meta, "traceparent")
        asked = self._tool_uses.find(asker.key.principal.key, tool_use_id) if tool_use_id else None
        run = asked.run if asked is not None else None
        run = run or headers.get("x-tollkeeper-run") or session or asker.session
        traceparent = traceparent or headers.get("traceparent")
        return CallContext(
            call_id=new_call_id(started_ns),
            started_ns=started_ns,
            surface=_SURFACES[asker.era],
            run=run[:MAX_RUN_LENGTH] if run else None,
            run_limits=headers.get(LIMITS_HEADER),
            parent=asked.call_id if asked is not None else None,
            tool_use_id=tool_use_id[:MAX_RUN_LENGTH] if tool_use_id else None,
            trace_id=trace_id(traceparent) if traceparent else None,
            agent_id=asked.agent_id if asked is not None else None,
        )

    def resource(self, asker: Asker, uri: str) -> Origin | None:
        """A listed resource, one that a listed template describes, or one that was handed to this key."""
        return self._hub.view(asker).resources.get(uri) or self._unlisted(asker, uri)

    def _unlisted(self, asker: Asker, uri: str) -> Origin | None:
        view = self._hub.view(asker)
        template = match_template(view.templates, uri)
        server = template.server if template is not None else self._hub.handed.server(asker.key.principal.key, uri)
        if server is None or server not in view.servers:
            return None
        own = own_uri(server, uri)
        return Origin(server, own) if asker.key.grants.allows("resource", server, own) else None

    def watchable(self, asker: Asker, uri: str) -> Origin | None:
        """The origin of a resource whose changes this asker may hear of."""
        origin = self.resource(asker, uri)
        snapshot = self._hub.snapshot(origin.server) if origin is not None else None
        return origin if snapshot is not None and snapshot.subscribes else None

    def _way_to(self, asker: Asker, origin: Origin | None) -> Way | None:
        return self._hub.way_to(asker, origin) if origin is not None else None

    def _completion(self, asker: Asker, message: Message, client: Client) -> MemberCall:
        view = self._hub.view(asker)
        ref = message.params.get("ref")
        try:
            fields = msgspec.json.decode(ref, type=dict[str, msgspec.Raw]) if ref is not None else {}
        except msgspec.MsgspecError:
            fields = {}
        params = dict(message.params)
        if string_of(fields.get("type")) == "ref/prompt":
            name = string_of(fields.get("name")) or ""
            origin = view.prompts.get(name)
            if origin is not None:
                fields["name"] = msgspec.Raw(msgspec.json.encode(origin.name))
                params["ref"] = msgspec.Raw(msgspec.json.encode(fields))
        else:
            name = string_of(fields.get("uri")) or ""
            origin = view.templates.get(name) or view.resources.get(name)
            if origin is not None and origin.name != name:
                fields["uri"] = msgspec.Raw(msgspec.json.encode(origin.name))
                params["ref"] = msgspec.Raw(msgspec.json.encode(fields))
        if not name:
            raise WireError(INVALID_PARAMS, "'ref' names nothing", request_id=message.request_id or b"null")
        return MemberCall(
            kind="completion",
            asked=name,
            way=self._way_to(asker, origin),
            params=params,
            meta=message.meta,
            session=asker.session,
            client=client,
        )

    def _meta(self, outcomes: list[dict[str, Any]]) -> bytes:
        return msgspec.json.encode({modern.META_SERVER_INFO: self._server_info, OUTCOMES_META: outcomes})

    def _capabilities(self, asker: Asker) -> dict[str, Any]:
        """What the hub can deliver. Change notices always; completion and logging if a visible member can."""
        view = self._hub.view(asker)
        snapshots = [s for s in (self._hub.snapshot(name) for name in view.servers) if s is not None]
        offered = frozenset[str]().union(*(s.capabilities for s in snapshots))
        found: dict[str, Any] = {name: {"listChanged": True} for name in ("tools", "prompts", "resources")}
        if any(s.subscribes for s in snapshots):
            found["resources"]["subscribe"] = True
        if "completions" in offered:
            found["completions"] = {}
        if asker.era == "legacy" and "logging" in offered:
            found["logging"] = {}
        return found

    def _instructions_for(self, asker: Asker) -> str | None:
        """The operator's own text, then each visible server's under its name, each bounded."""
        parts = [self._instructions] if self._instructions else []
        for name in self._hub.view(asker).servers:
            snapshot = self._hub.snapshot(name)
            if snapshot is None or not snapshot.instructions:
                continue
            text = snapshot.instructions[:MAX_INSTRUCTIONS]
            parts.append(text if asker.server is not None else f"# {name}\n{text}")
        return "\n\n".join(parts) or None


def _said(meta: Mapping[str, msgspec.Raw], *names: str) -> str | None:
    """The first of ``names`` that holds a text that is not empty."""
    for name in names:
        if name in meta and (found := string_of(meta[name])):
            return found
    return None
