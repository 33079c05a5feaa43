"""Sends one call to one member and reports what happens: the tool side's executor.

The arguments and the result pass as raw bytes. Of ``_meta`` only what belongs to the client's own hop
is taken out: the era's protocol keys and the progress token, which the session mints anew.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import msgspec

from mcp_hub.hub import Hub
from mcp_hub.seams import MemberFault, RawObject, Reply, RpcError, SessionKey
from mcp_hub.view import Origin
from policies.admission import SubjectKind
from policies.dispatch import Attempt, Target
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


class MemberDispatch:
    """``policies.dispatch.Dispatch`` of one call to a member."""

    __slots__ = ("_call", "_hub", "_price")

    def __init__(self, hub: Hub, call: MemberCall, price: ToolPrice) -> None:
        self._hub = hub
        self._call = call
        self._price = price

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

    async def run(self, attempt: Attempt) -> Outcome:
        key = self._session_key(attempt.target.owner, attempt.key)
        reply = await self._request(attempt, key)
        if isinstance(reply, MemberFault) and reply.code == "member_lost" and not reply.sent:
            # The warm session was dead and nothing had left: a new one may serve the call.
            reply = await self._request(attempt, key)
        attempt.answered_ns = time.time_ns()
        if isinstance(reply, MemberFault):
            self._hub.suspect(key.server)
            if not reply.sent:
                attempt.progress = "unsent"
        return _outcome(reply)

    async def _request(self, attempt: Attempt, key: SessionKey) -> Reply:
        session = await self._hub.sessions.acquire(key)
        if isinstance(session, MemberFault):
            return session
        attempt.sent_ns = time.time_ns()
        attempt.progress = "sent"
        return await session.request(
            CALL_METHODS[self._call.kind],
            member_params(self._call, attempt.target.name),
            timeout=self._hub.sessions.timeout(key.server),
            on_notification=attempt.emit,
        )

    def _session_key(self, server: str, key: VirtualKey) -> SessionKey:
        """Which warm session serves this caller (law 4): shared only where that is safe or declared."""
        isolation = self._hub.sessions.isolation(server)
        if isolation == "auto":
            snapshot = self._hub.snapshot(server)
            isolation = "shared" if snapshot is not None and snapshot.era == "modern" else "per_principal"
        if isolation == "shared":
            return SessionKey(server, "")
        name = key.principal.key
        if isolation == "per_session" and self._call.session is not None:
            return SessionKey(server, f"{name}/{self._call.session}")
        return SessionKey(server, name)


def member_params(call: MemberCall, name: str) -> dict[str, msgspec.Raw]:
    """The params for the member: its own name for the thing, and the client's hop taken out."""
    params = dict(call.params)
    if call.kind in ("tool", "prompt"):
        params["name"] = msgspec.Raw(msgspec.json.encode(name))
    meta = params.get("_meta")
    if meta is not None:
        kept = {field: raw for field, raw in _object(meta).items() if field not in _HOP_META}
        if kept:
            params["_meta"] = msgspec.Raw(msgspec.json.encode(kept))
        else:
            del params["_meta"]
    return params


def _outcome(reply: Reply) -> Outcome:
    if isinstance(reply, MemberFault):
        return _faulted(reply)
    if isinstance(reply, RpcError):
        return Outcome(kind="failed", code="member_error", message=f"{reply.message} ({reply.code})", reply=reply)
    return Outcome(kind="ok", reply=reply, stop_reason="tool_error" if _is_error(reply) else None)


class _Result(msgspec.Struct):
    isError: bool = False  # noqa: N815 - the wire's own name


_result = msgspec.json.Decoder(_Result).decode


def _is_error(reply: msgspec.Raw) -> bool:
    """A tool that reports an error has worked: its health is not in question."""
    if b'"isError"' not in bytes(reply):
        return False
    try:
        return _result(reply).isError
    except msgspec.MsgspecError:
        return False


def _faulted(fault: MemberFault) -> Outcome:
    return Outcome(kind="failed", code=fault.code, message=fault.message, reply=fault)
