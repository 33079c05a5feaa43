"""Sends one call to one member and reports what happens: the tool side's executor.

The arguments and the result pass as raw bytes. Of ``_meta`` only what belongs to the client's own hop
is taken out: the era's protocol keys and the progress token, which the session mints anew. What a member
asks in the middle of a call is ``bridge.py``'s.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import msgspec

from mcp_hub.bridge import Bridge, BridgeParts, Ends, Round
from mcp_hub.caching import answerable, kept_of, replay
from mcp_hub.capabilities import NOTHING, Profile
from mcp_hub.error_codes import HEADER_MISMATCH
from mcp_hub.hub import Hub
from mcp_hub.interactions import OpenQuestion, is_tool_error
from mcp_hub.param_headers import headers_for
from mcp_hub.request_state import ROUND_FIELDS
from mcp_hub.seams import Era, MemberFault, Notification, Question, QuestionAnswer, RawObject, Reply, RpcError
from mcp_hub.session_key import SessionKey
from mcp_hub.view import Origin, own_uri
from policies.admission import SubjectKind
from policies.caching.vocabulary import Answerable, Bypass, Kept, Replayed
from policies.dispatch import Attempt, Following, Target
from policies.identity import VirtualKey
from policies.pricing import FREE, Price
from policies.refusals import tool_unknown
from policies.types import CallKind, Estimate, Outcome, Refusal

ToolPrice = Callable[[str, str], Price]

_HOP_META = frozenset(
    {
        "progressToken",
        "io.modelcontextprotocol/protocolVersion",
        "io.modelcontextprotocol/clientInfo",
        "io.modelcontextprotocol/clientCapabilities",
        "io.modelcontextprotocol/subscriptionId",
    }
)
_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode

CALL_METHODS: dict[CallKind, str] = {
    "tool": "tools/call",
    "prompt": "prompts/get",
    "resource": "resources/read",
    "completion": "completion/complete",
}
_SUBJECTS: dict[CallKind, SubjectKind] = {"tool": "tool", "prompt": "prompt", "resource": "resource"}


class MemberCall(msgspec.Struct, frozen=True, kw_only=True):
    """A request for a member, resolved: ``origin`` is ``None`` when the key sees nothing of that name."""

    kind: CallKind
    asked: str
    """The name or URI as the client sent it."""
    origin: Origin | None
    params: RawObject
    session: str | None = None
    """The client's own session, for servers that isolate by it."""
    client: Client
    renamed: Mapping[str, str] = {}
    """The member's URIs that this client knows in another form."""


class Client(msgspec.Struct, frozen=True):
    """What a call must know of the client that makes it."""

    era: Era
    profile: Profile = NOTHING
    log_level: str | None = None
    wants_progress: bool = False
    endpoint: str | None = None
    """The one server whose endpoint was called; ``None``: that of all."""


class MemberDispatch:
    """``policies.dispatch.Dispatch`` of one call to a member, and its ``mcp_hub.seams.Caller``."""

    __slots__ = ("_attempt", "_bridge", "_call", "_hub", "_price", "_profile", "log_level", "wants_progress")

    def __init__(self, parts: BridgeParts, hub: Hub, call: MemberCall, price: ToolPrice, round_: Round) -> None:
        self._hub = hub
        self._call = call
        self._price = price
        client = call.client
        self._profile = hub.profile(call.origin.server, client.profile) if call.origin is not None else NOTHING
        self.log_level = client.log_level
        self.wants_progress = client.wants_progress
        self._attempt: Attempt | None = None
        self._bridge = Bridge(parts, self._profile, Ends(client.era, client.endpoint is None), round_)

    @property
    def capabilities(self) -> bytes:
        return self._profile.declared

    @property
    def mirrored(self) -> Sequence[tuple[str, str]]:
        origin = self._call.origin
        return headers_for(origin.mirrors, self._call.params.get("arguments")) if origin is not None else ()

    @property
    def open_questions(self) -> dict[str, OpenQuestion]:
        """What waits for the client's answer."""
        return self._bridge.open

    def admit(self, key: VirtualKey) -> Refusal | None:
        """Denied and unknown are one answer: what is not in the key's view does not exist."""
        origin = self._call.origin
        if origin is None:
            return tool_unknown(self._call.asked)
        subject = _SUBJECTS.get(self._call.kind)
        if subject is not None and not key.grants.allows(subject, origin.server, origin.name):
            return tool_unknown(self._call.asked)
        return None

    def route(self, key: VirtualKey) -> Sequence[Target] | Refusal:
        origin = self._call.origin
        if origin is None:
            return tool_unknown(self._call.asked)
        price = self._price(origin.server, origin.name) if self._call.kind == "tool" else FREE
        return (Target(origin.server, origin.name, price),)

    def estimate(self, target: Target) -> Estimate:
        return Estimate()

    def answerable(self, key: VirtualKey) -> Answerable | Bypass:
        origin = self._call.origin
        if origin is None:
            return Bypass("unsupported")
        params = member_params(self._call, origin.name)
        fingerprint = self._hub.sessions.fingerprint(origin.server)
        return answerable(
            self._call.kind, origin, self._call.params, params, self._session_key(origin.server, key), fingerprint
        )

    def following(self, attempt: Attempt, outcome: Outcome) -> Following | None:
        """A tool has one server; whether it ran may not be known."""
        return None

    def replay(self, kept: Kept) -> Replayed | None:
        return replay(kept)

    async def run(self, attempt: Attempt) -> Outcome:
        self._attempt = attempt
        server = attempt.target.owner
        self._bridge.member_era = self._hub.era(server)
        key = self._session_key(server, attempt.key)
        params = member_params(self._call, attempt.target.name)
        ended = await self._bridge.rounds(attempt, params, lambda sent: self._request(attempt, key, sent))
        attempt.answered_ns = time.time_ns()
        if isinstance(ended, Outcome):
            return ended
        if isinstance(ended, RpcError) and ended.code == HEADER_MISMATCH:
            self._hub.suspect(server)  # its tools are not what they were when they were read
        if isinstance(ended, MemberFault):
            self._hub.suspect(server)
            if not ended.sent:
                attempt.progress = "unsent"
        kept = None
        if attempt.keep_bytes and isinstance(ended, msgspec.Raw) and not self._bridge.questioned:
            kept = kept_of(self._call.kind, ended, attempt.keep_bytes)
        return _outcome(ended, kept)

    def _session_key(self, server: str, key: VirtualKey) -> SessionKey:
        return self._hub.session_key(server, key, self._profile, self._call.session)

    def notified(self, notification: Notification) -> None:
        if self._attempt is not None:
            self._attempt.emit(notification)

    async def ask(self, question: Question) -> QuestionAnswer:
        if self._attempt is None:
            raise RuntimeError("a question came before the call")
        return await self._bridge.ask(self._attempt, question)

    async def _request(self, attempt: Attempt, key: SessionKey, params: RawObject) -> Reply:
        reply = await self._request_once(attempt, key, params)
        if isinstance(reply, MemberFault) and reply.code == "member_lost" and not reply.sent:
            # The warm session was dead and nothing had left: a new one may serve the call.
            reply = await self._request_once(attempt, key, params)
        return reply

    async def _request_once(self, attempt: Attempt, key: SessionKey, params: RawObject) -> Reply:
        session = await self._hub.sessions.acquire(key)
        if isinstance(session, MemberFault):
            return session
        self._bridge.member_era = session.era
        attempt.sent_ns = time.time_ns()
        attempt.progress = "sent"
        return await session.request(
            CALL_METHODS[self._call.kind],
            params,
            timeout=self._hub.sessions.terms(key.server).timeout_of(attempt.target.name),
            caller=self,
        )


def member_params(call: MemberCall, name: str) -> dict[str, msgspec.Raw]:
    """The params for the member: its own name for the thing, and the client's hop taken out."""
    params = dict(call.params)
    for field in ROUND_FIELDS:
        params.pop(field, None)
    if call.kind in ("tool", "prompt"):
        params["name"] = msgspec.Raw(msgspec.json.encode(name))
    elif call.kind == "resource" and call.origin is not None:
        params["uri"] = msgspec.Raw(msgspec.json.encode(own_uri(call.origin.server, call.asked)))
    meta = params.get("_meta")
    if meta is not None:
        fields = _object(meta)
        if _HOP_META.issuperset(fields):
            del params["_meta"]
            return params
        kept = {field: raw for field, raw in fields.items() if field not in _HOP_META}
        params["_meta"] = msgspec.Raw(msgspec.json.encode(kept))
    return params


def _outcome(reply: Reply, kept: Kept | None) -> Outcome:
    if isinstance(reply, MemberFault):
        return Outcome(kind="failed", code=reply.code, message=reply.message, reply=reply)
    if isinstance(reply, RpcError):
        return Outcome(kind="failed", code="member_error", message=f"{reply.message} ({reply.code})", reply=reply)
    # A tool that reports an error has worked: its health is not in question.
    return Outcome(kind="ok", reply=reply, stop_reason="tool_error" if is_tool_error(reply) else None, kept=kept)
