"""A call to a member for the cache: what of it can change the result, and the result as it is kept.

Which tools take part is the operator's word (``tool_cache``). A member's own hints only narrow it: a tool that
declares that it changes something is never kept, a shorter ``ttlMs`` shortens. A resource is kept for as long as
its member says (https://modelcontextprotocol.io/specification/2026-07-28/server/utilities/caching), and for
the asking principal only, even where the member would share it.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from mcp_hub.request_state import ROUND_FIELDS
from mcp_hub.seams import RawObject
from mcp_hub.session_key import SessionKey
from mcp_hub.view import Origin
from policies.caching.canonical import NotCanonical, canonical, read_strictly
from policies.caching.vocabulary import Answerable, Bypass, Kept, Replayed
from policies.types import CallKind

MS_PER_S = 1000
CALLER_META = frozenset({"claudecode/toolUseId", "callId", "sessionId", "traceparent", "tracestate", "baggage"})
"""Keys of ``_meta`` that say who asks, not what."""


class _Result(msgspec.Struct):
    isError: bool = False  # noqa: N815 - the wire's own name
    resultType: str = "complete"  # noqa: N815 - the wire's own name
    ttlMs: float | None = None  # noqa: N815 - the wire's own name
    task: msgspec.Raw = msgspec.Raw()


_result = msgspec.json.Decoder(_Result).decode
_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def answerable(
    kind: CallKind, origin: Origin, asked: RawObject, params: RawObject, session: SessionKey, server: str
) -> Answerable | Bypass:
    """``asked``: the params as the client sent them; ``params``: as the member gets them; ``server``: fingerprint
    of how it is reached, with the gate's own credentials there."""
    if kind not in ("tool", "resource"):
        return Bypass("unsupported")
    if origin.changes:
        return Bypass("tool_not_read_only")
    if any(field in asked for field in ROUND_FIELDS):
        return Bypass("stateful")
    fields = {
        "server": server.encode(),
        "session": repr((session.partition, session.profile.declared)).encode(),
    }
    try:
        for name, raw in params.items():
            value = read_strictly(raw)
            if name == "_meta" and isinstance(value, dict):
                value = {key: said for key, said in value.items() if key not in CALLER_META}
            if value not in ({}, None):
                fields[name] = canonical(value)
    except NotCanonical:
        return Bypass("ambiguous")
    return Answerable(fields=fields)


def kept_of(kind: CallKind, result: msgspec.Raw, most_bytes: int) -> Kept | None:
    """A result that may be given again. Never an error, a question, or a task."""
    data = bytes(result)
    if len(data) > most_bytes:
        return None
    try:
        said = _result(data)
    except msgspec.MsgspecError:
        return None
    if said.isError or said.resultType != "complete" or bytes(said.task):
        return None
    if kind == "resource" and said.ttlMs is None:
        return None
    return Kept(form="result", data=data, ttl_s=None if said.ttlMs is None else said.ttlMs / MS_PER_S)


def replay(kept: Kept) -> Replayed | None:
    """A kept result; what it says of its own age is brought up to date."""
    if kept.form != "result":
        return None
    result = msgspec.Raw(kept.data)
    fields: Mapping[str, msgspec.Raw] = _object(result) if b'"ttlMs"' in kept.data else {}
    if "ttlMs" in fields and kept.ttl_s is not None:
        left = msgspec.Raw(str(int(kept.ttl_s * MS_PER_S)).encode())
        result = msgspec.Raw(msgspec.json.encode({**fields, "ttlMs": left}))
    return Replayed(result)
