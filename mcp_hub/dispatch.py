"""Sends one call to one member and reports what happens: the tool side's executor.

The arguments and the result pass as raw bytes. Of ``_meta`` only what belongs to the client's own hop
is taken out: the era's protocol keys and the progress token, which the session mints anew. What a member
asks in the middle of a call is ``bridge.py``'s.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import msgspec

from mcp_hub.bridge import Bridge, BridgeParts, Client, Round
from mcp_hub.caching import answerable, kept_of, replay
from mcp_hub.error_codes import HEADER_MISMATCH
from mcp_hub.hub import Hub
from mcp_hub.interactions import OpenQuestion, is_tool_error
from mcp_hub.param_headers import headers_for
from mcp_hub.request_state import ROUND_FIELDS
from mcp_hub.seams import MemberFault, Notification, Question, QuestionAnswer, RawObject, Reply
from mcp_hub.session_key import SessionKey
from mcp_hub.view import own_uri
from mcp_hub.way import ToolPrice, Way
from policies.admission import SubjectKind
from policies.caching.vocabulary import Answerable, Bypass, Kept, Replayed
from policies.dispatch import Attempt, Following, Target
from policies.identity import VirtualKey
from policies.pricing import FREE, Price
from policies.refusals import tool_unknown
from policies.types import CallKind, Estimate, Outcome, Refusal

_HOP_META = frozenset(
    {
        "progressToken",
        "io.modelcontextprotocol/protocolVersion",
        "io.modelcontextprotocol/clientInfo",
        "io.modelcontextprotocol/clientCapabilities",
        "io.modelcontextprotocol/subscriptionId",
    }
)
_NO_TOKENS = Estimate()
_NONE: Mapping[str, str] = {}

CALL_METHODS: dict[CallKind, str] = {
    "tool": "tools/call",
    "prompt": "prompts/get",
    "resource": "resources/read",
    "completion": "completion/complete",
}
_SUBJECTS: dict[CallKind, SubjectKind] = {"tool": "tool", "prompt": "prompt", "resource": "resource"}


class MemberCall(msgspec.Struct, frozen=True, kw_only=True):
    """A request for a member, resolved: ``way`` is ``None`` when the key sees nothing of that name."""

    kind: CallKind
    asked: str
    """The name or URI as the client sent it."""
    way: Way | None
    params: RawObject
    meta: RawObject
    """Their ``_meta``."""
    session: str | None = None
    """The client's own session, for servers that isolate by it."""
    client: Client

    @property
    def renamed(self) -> Mapping[str, str]:
        """The member's URIs that this client knows in another form."""
        way = self.way
        if way is None or self.kind == "completion":
            return _NONE
        if self.kind != "resource":
            return way.renamed
        own = own_uri(way.origin.server, self.asked)
        return {**way.renamed, own: self.asked} if own != self.asked else way.renamed


class MemberDispatch:
    """``policies.dispatch.Dispatch`` of one call that has a way to its member, and its ``mcp_hub.seams.Caller``."""

    __slots__ = (
        "_attempt",
        "_bridge",
        "_call",
        "_hub",
        "_price",
        "_way",
        "capabilities",
        "log_level",
        "wants_progress",
    )

    def __init__(
        self, parts: BridgeParts, hub: Hub, call: MemberCall, way: Way, price: ToolPrice, round_: Round
    ) -> None:
        client = call.client
        self._hub = hub
        self._call = call
        self._way = way
        self._price = price if call.kind == "tool" else _free
        self.capabilities = way.declared
        self.log_level = client.log_level
        self.wants_progress = client.wants_progress
        self._attempt: Attempt | None = None
        self._bridge = Bridge(parts, way, client, round_)

    @property
    def mirrored(self) -> Sequence[tuple[str, str]]:
        mirrors = self._way.origin.mirrors
        return headers_for(mirrors, self._call.params.get("arguments")) if mirrors else ()

    @property
    def open_questions(self) -> dict[str, OpenQuestion]:
        """What waits for the client's answer."""
        return self._bridge.open

    def admit(self, key: VirtualKey) -> Refusal | None:
        """Denied and unknown are one answer: what is not in the key's view does not exist."""
        subject = _SUBJECTS.get(self._call.kind)
        origin = self._way.origin
        if subject is not None and not key.grants.allows(subject, origin.server, origin.name):
            return tool_unknown(self._call.asked)
        return None

    def route(self, key: VirtualKey) -> Sequence[Target] | Refusal:
        return self._way.targets(self._price)

    def estimate(self, target: Target) -> Estimate:
        return _NO_TOKENS

    def answerable(self, key: VirtualKey) -> Answerable | Bypass:
        call, origin = self._call, self._way.origin
        fingerprint = self._hub.sessions.fingerprint(origin.server)
        session = self._session_key(key)
        return answerable(call.kind, origin, call.params, member_params(call, self._way), session, fingerprint)

    def following(self, attempt: Attempt, outcome: Outcome) -> Following | None:
        """A tool has one server; whether it ran may not be known."""
        return None

    def replay(self, kept: Kept) -> Replayed | None:
        return replay(kept)

    async def run(self, attempt: Attempt) -> Outcome:
        self._attempt = attempt
        ended = await self._bridge.rounds(attempt, member_params(self._call, self._way), self._request)
        attempt.answered_ns = time.time_ns()
        if isinstance(ended, Outcome):
            return ended
        kept = None
        if isinstance(ended, msgspec.Raw):
            if attempt.keep_bytes and not self._bridge.questioned:
                kept = kept_of(self._call.kind, ended, attempt.keep_bytes)
        elif isinstance(ended, MemberFault):
            self._hub.suspect(attempt.target.owner)
            if not ended.sent:
                attempt.progress = "unsent"
        elif ended.code == HEADER_MISMATCH:
            self._hub.suspect(attempt.target.owner)  # its tools are not what they were when they were read
        return _outcome(ended, kept)

    def notified(self, notification: Notification) -> None:
        if self._attempt is not None:
            self._attempt.emit(notification)

    async def ask(self, question: Question) -> QuestionAnswer:
        if self._attempt is None:
            raise RuntimeError("a question came before the call")
        return await self._bridge.ask(self._attempt, question)

    def _session_key(self, key: VirtualKey) -> SessionKey:
        way = self._way
        return way.session or self._hub.session_key(way.origin.server, key, way.profile, self._call.session)

    async def _request(self, attempt: Attempt, params: RawObject, *, again: bool = True) -> Reply:
        session = await self._hub.sessions.acquire(self._way.session or self._session_key(attempt.key))
        if isinstance(session, MemberFault):
            return session
        self._bridge.member_era = session.era
        attempt.sent_ns = time.time_ns()
        attempt.progress = "sent"
        method = CALL_METHODS[self._call.kind]
        reply = await session.request(method, params, timeout=self._way.timeout_s, caller=self)
        if again and isinstance(reply, MemberFault) and reply.code == "member_lost" and not reply.sent:
            # The warm session was dead and nothing had left: a new one may serve the call.
            return await self._request(attempt, params, again=False)
        return reply


def member_params(call: MemberCall, way: Way) -> RawObject:
    """The params for the member: its own name for the thing, and the client's hop taken out."""
    params = dict(call.params)
    if not ROUND_FIELDS.isdisjoint(params):
        for field in ROUND_FIELDS:
            params.pop(field, None)
    if call.kind in ("tool", "prompt"):
        params["name"] = way.name
    elif call.kind == "resource":
        params["uri"] = msgspec.Raw(msgspec.json.encode(own_uri(way.origin.server, call.asked)))
    if "_meta" in params:
        if _HOP_META.issuperset(call.meta):
            del params["_meta"]
        else:
            kept = {field: raw for field, raw in call.meta.items() if field not in _HOP_META}
            params["_meta"] = msgspec.Raw(msgspec.json.encode(kept))
    return params


def _free(server: str, name: str) -> Price:
    return FREE


def _outcome(reply: Reply, kept: Kept | None) -> Outcome:
    if isinstance(reply, msgspec.Raw):
        # A tool that reports an error has worked: its health is not in question.
        return Outcome(kind="ok", reply=reply, stop_reason="tool_error" if is_tool_error(reply) else None, kept=kept)
    if isinstance(reply, MemberFault):
        return Outcome(kind="failed", code=reply.code, message=reply.message, reply=reply)
    return Outcome(kind="failed", code="member_error", message=f"{reply.message} ({reply.code})", reply=reply)
