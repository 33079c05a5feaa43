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
from mcp_hub.catalog import ItemKind
from mcp_hub.dispatch import MemberCall
from mcp_hub.hub import Hub
from mcp_hub.seams import MODERN_VERSION, Era
from mcp_hub.templates import match_template
from mcp_hub.view import Origin, View
from mcp_hub.wire import legacy, modern
from mcp_hub.wire.messages import (
    INVALID_PARAMS,
    Message,
    WireError,
    error_bytes,
    required_string,
    result_bytes,
    string_of,
)
from policies.identity import VirtualKey
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


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, on which endpoint, in which era."""

    key: VirtualKey
    server: str | None
    era: Era
    session: str | None = None
    version: str = MODERN_VERSION


class McpRequests:
    """Answers what needs no member, and prepares what does."""

    def __init__(
        self,
        hub: Hub,
        tool_uses: ToolUseIndex,
        clock: Callable[[], int],
        server_info: Mapping[str, str],
        instructions: str | None,
    ) -> None:
        self._hub = hub
        self._tool_uses = tool_uses
        self._clock = clock
        self._server_info = dict(server_info)
        self._instructions = instructions
        self._plain_meta = msgspec.json.encode({modern.META_SERVER_INFO: self._server_info})

    def list_answer(self, asker: Asker, message: Message, request_id: bytes) -> Answer:
        """A list from memory."""
        cursor = message.params.get("cursor")
        if cursor is not None and bytes(cursor) != b"null":
            # Lists are one page, so no cursor was ever handed out.
            text = "Invalid cursor"
            return Answer(error_status(asker.era, INVALID_PARAMS), error_bytes(request_id, INVALID_PARAMS, text))
        kind, field = LISTS[message.method or ""]
        array = self._hub.view(asker.key, asker.server).array(kind, asker.era)
        outcomes = self._outcomes(asker)
        if asker.era == "modern":
            meta = self._plain_meta if not outcomes else self._meta(outcomes)
            return Answer(200, result_bytes(request_id, modern.list_result(field, array, meta, fresh=not outcomes)))
        told = msgspec.json.encode({OUTCOMES_META: outcomes}) if outcomes else None
        return Answer(200, result_bytes(request_id, legacy.list_result(field, array, told)))

    def discover(self, asker: Asker, request_id: bytes) -> Answer:
        meta = {modern.META_SERVER_INFO: self._server_info}
        result = modern.discover_result(self._capabilities(asker), self._instructions_for(asker), meta)
        return Answer(200, result_bytes(request_id, result))

    def initialize(self, asker: Asker, version: str, request_id: bytes) -> Answer:
        result = legacy.initialize_result(
            version, self._capabilities(asker), self._instructions_for(asker), self._server_info
        )
        return Answer(200, result_bytes(request_id, result))

    def call(self, asker: Asker, message: Message) -> MemberCall:
        """A request for a member, resolved by the asker's own view. Raises ``WireError``."""
        kind = CALLS[message.method or ""]
        view = self._hub.view(asker.key, asker.server)
        if kind == "completion":
            return self._completion(asker, message, view)
        name = required_string(message, "uri" if kind == "resource" else "name")
        if kind == "tool":
            origin = view.tools.get(name)
        elif kind == "prompt":
            origin = view.prompts.get(name)
        else:
            origin = self._resource(asker, view, name)
        return MemberCall(kind=kind, asked=name, origin=origin, params=message.params, session=asker.session)

    def context(self, asker: Asker, message: Message, started_ns: int, headers: Mapping[str, str]) -> CallContext:
        """Run and parent, as far as the client tells (design: runs)."""
        tool_use_id = next((t for n in TOOL_USE_META if (t := string_of(message.meta.get(n)))), None)
        asked = self._tool_uses.find(asker.key.principal.key, tool_use_id) if tool_use_id else None
        run = asked.run if asked is not None else None
        run = run or headers.get("x-tollkeeper-run") or string_of(message.meta.get("sessionId")) or asker.session
        traceparent = string_of(message.meta.get("traceparent")) or headers.get("traceparent", "")
        return CallContext(
            call_id=new_call_id(started_ns),
            started_ns=started_ns,
            surface=f"mcp_{asker.era}",
            run=run[:MAX_RUN_LENGTH] if run else None,
            run_limits=headers.get(LIMITS_HEADER),
            parent=asked.call_id if asked is not None else None,
            tool_use_id=tool_use_id[:MAX_RUN_LENGTH] if tool_use_id else None,
            trace_id=trace_id(traceparent),
            agent_id=asked.agent_id if asked is not None else None,
        )

    def _resource(self, asker: Asker, view: View, uri: str) -> Origin | None:
        """A listed resource, or one that a listed template describes."""
        listed = view.resources.get(uri)
        if listed is not None:
            return listed
        template = match_template(view.templates, uri)
        if template is None or not asker.key.grants.allows("resource", template.server, uri):
            return None
        return Origin(template.server, uri)

    def _completion(self, asker: Asker, message: Message, view: View) -> MemberCall:
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
        if not name:
            raise WireError(INVALID_PARAMS, "'ref' names nothing", request_id=message.request_id or b"null")
        return MemberCall(kind="completion", asked=name, origin=origin, params=params, session=asker.session)

    def _outcomes(self, asker: Asker) -> list[dict[str, Any]]:
        now = self._clock()
        return [outcome.render(now) for outcome in self._hub.outcomes(asker.key, asker.server)]

    def _meta(self, outcomes: list[dict[str, Any]]) -> bytes:
        return msgspec.json.encode({modern.META_SERVER_INFO: self._server_info, OUTCOMES_META: outcomes})

    def _capabilities(self, asker: Asker) -> dict[str, Any]:
        """What the hub can deliver. Change notices always; completion and logging if a visible member can."""
        view = self._hub.view(asker.key, asker.server)
        snapshots = [s for s in (self._hub.snapshot(name) for name in view.servers) if s is not None]
        offered = frozenset[str]().union(*(s.capabilities for s in snapshots))
        found: dict[str, Any] = {name: {"listChanged": True} for name in ("tools", "prompts", "resources")}
        if "completions" in offered:
            found["completions"] = {}
        if asker.era == "legacy" and "logging" in offered:
            found["logging"] = {}
        return found

    def _instructions_for(self, asker: Asker) -> str | None:
        """The operator's own text, then each visible server's under its name, each bounded."""
        parts = [self._instructions] if self._instructions else []
        for name in self._hub.view(asker.key, asker.server).servers:
            snapshot = self._hub.snapshot(name)
            if snapshot is None or not snapshot.instructions:
                continue
            text = snapshot.instructions[:MAX_INSTRUCTIONS]
            parts.append(text if asker.server is not None else f"# {name}\n{text}")
        return "\n\n".join(parts) or None
