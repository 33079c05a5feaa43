"""How the gate's decisions look on the MCP wire, in both eras.

Denied is unknown (``-32602``). A budget or rate refusal of a tool call is a result with ``isError``: a
text that the model can read and ``_meta["io.tollkeeper/refusal"]`` for programs. A member that failed is
told the same way (``io.tollkeeper/fault``); for other methods both are JSON-RPC errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from mcp_hub.error_codes import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    MISSING_CAPABILITY,
    PARSE_ERROR,
    RESOURCE_NOT_FOUND,
)
from mcp_hub.seams import Era, MemberFault, RpcError
from mcp_hub.uris import expose
from mcp_hub.wire import legacy, modern
from mcp_hub.wire.messages import error_bytes, result_bytes
from policies.trip import Settled
from policies.types import CallKind, Json, Refusal

REFUSAL_META = "io.tollkeeper/refusal"
FAULT_META = "io.tollkeeper/fault"

_STATUS = {METHOD_NOT_FOUND: 404, INVALID_PARAMS: 400, INVALID_REQUEST: 400, PARSE_ERROR: 400}
_UNKNOWN = {"tool": "Unknown tool", "prompt": "Unknown prompt", "resource": "Resource not found"}


class Asked(msgspec.Struct, frozen=True):
    """What an answer must know of its request."""

    era: Era
    request_id: bytes
    kind: CallKind
    name: str
    log_level: str | None = None
    """Log messages from this level on; ``None``: what the era does without a wish (all, or none)."""
    renamed: Mapping[str, str] = {}
    """The member's URIs that this client knows under other names."""


class Answer(msgspec.Struct, frozen=True):
    """A complete JSON-RPC response and the HTTP status that fits the era."""

    status: int
    body: bytes


def error_status(era: Era, code: int) -> int:
    """The modern wire tells errors of the request by HTTP status too; the legacy wire does not."""
    if era == "legacy":
        return 200
    return _STATUS.get(code, 400 if -32099 <= code <= -32020 else 200)


def of_refusal(asked: Asked, refusal: Refusal) -> Answer:
    """A refusal of the passage."""
    if refusal.kind == "permission":
        return _unknown(asked)
    facts: dict[str, Json] = {"code": refusal.code, **refusal.details}
    if refusal.retry_after_s is not None:
        facts["retry_after_s"] = round(refusal.retry_after_s, 3)
    return _told(asked, refusal.message, REFUSAL_META, facts)


def of_settled(asked: Asked, settled: Settled) -> Answer:
    """The end of a call that was dispatched."""
    outcome = settled.outcome
    reply = outcome.reply
    if isinstance(reply, msgspec.Raw):
        return of_result(asked, reply)
    if isinstance(reply, RpcError):
        return _member_error(asked, reply)
    facts: dict[str, Json] = {"code": outcome.code or "internal_error", "server": settled.row.provider}
    if isinstance(reply, MemberFault):
        facts["stage"] = reply.stage
    message = f"The MCP server {settled.row.provider!r} did not answer: {outcome.message}"
    return _told(asked, message, FAULT_META, facts)


def of_result(asked: Asked, reply: msgspec.Raw) -> Answer:
    """A result, in the shape of the client's era."""
    if asked.renamed:
        reply = expose(reply, asked.renamed)
    told = modern.complete(reply, cacheable=asked.kind == "resource") if asked.era == "modern" else legacy.older(reply)
    return Answer(200, result_bytes(asked.request_id, told))


def _unknown(asked: Asked) -> Answer:
    """One answer for what is denied and for what does not exist."""
    code = RESOURCE_NOT_FOUND if asked.era == "legacy" and asked.kind == "resource" else INVALID_PARAMS
    message = f"{_UNKNOWN.get(asked.kind, 'Unknown reference')}: {asked.name}"
    data = {"uri": asked.name} if asked.kind == "resource" else None
    return Answer(error_status(asked.era, code), error_bytes(asked.request_id, code, message, data))


def _member_error(asked: Asked, error: RpcError) -> Answer:
    """A member's own error passes on, with the one code that the eras spell differently."""
    code = error.code
    if code == MISSING_CAPABILITY and asked.era == "legacy" and asked.kind == "tool":
        # The older wire has no such error; its clients and their models read a failed tool's text.
        return _told(asked, error.message, FAULT_META, {"code": "member_error", "rpc_code": code})
    if asked.era == "modern" and code == RESOURCE_NOT_FOUND:
        code = INVALID_PARAMS
    elif asked.era == "legacy" and asked.kind == "resource" and code == INVALID_PARAMS:
        code = RESOURCE_NOT_FOUND
    return Answer(error_status(asked.era, code), error_bytes(asked.request_id, code, error.message, error.data))


def _told(asked: Asked, message: str, meta_name: str, facts: Mapping[str, Json]) -> Answer:
    if asked.kind != "tool":
        return Answer(
            error_status(asked.era, INTERNAL_ERROR),
            error_bytes(asked.request_id, INTERNAL_ERROR, message, dict(facts)),
        )
    result: dict[str, Any] = {"content": [{"type": "text", "text": message}], "isError": True}
    if asked.era == "modern":
        result["resultType"] = "complete"
    result["_meta"] = {meta_name: dict(facts)}
    return Answer(200, result_bytes(asked.request_id, msgspec.json.encode(result)))
