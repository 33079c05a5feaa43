"""One JSON-RPC exchange with a member over Streamable HTTP: headers out, messages in.

The answer may be one JSON body or an event stream that ends with it
(https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#streamable-http).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from functools import lru_cache

import msgspec

from mcp_hub.seams import MODERN_VERSION, Era, MemberFault, RawObject
from mcp_hub.upstream.jsonrpc import MAX_MESSAGE_BYTES, Incoming, decode
from mcp_hub.upstream.sse import EventReader, EventTooLarge
from mcp_hub.wire.header_values import encode_header
from policies.egress import ByteResponse, Timeouts, TransportFailure

Headers = Sequence[tuple[str, str]]

_BASE: Headers = [("content-type", "application/json"), ("accept", "application/json, text/event-stream")]
_NAMED: Mapping[str, str] = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
_CODES = {
    "upstream_timeout": "member_timeout",
    "upstream_too_large": "member_reply_too_large",
    "upstream_reset": "member_lost",
    "egress_denied": "egress_denied",
}


def request_headers(plain: Headers, era: Era, method: str, params: RawObject) -> Headers:
    """The headers of one request: those of its session, and on the modern wire mirrors of method and name."""
    if era == "legacy":
        return plain
    field = _NAMED.get(method)
    if field is not None and field in params:
        return [*plain, ("mcp-method", method), ("mcp-name", _mirrored(bytes(params[field])))]
    return [*plain, ("mcp-method", method)]


@lru_cache(maxsize=4_096)
def _mirrored(name: bytes) -> str:
    """A raw JSON string as a header's value."""
    return encode_header(msgspec.json.decode(name, type=str))


def session_headers(own: Mapping[str, str], era: Era, version: str, session_id: str | None) -> Headers:
    """The headers of every request of one session."""
    headers = [*_BASE, *own.items()]
    if era == "modern":
        headers.append(("mcp-protocol-version", MODERN_VERSION))
        return headers
    if version:
        headers.append(("mcp-protocol-version", version))
    if session_id is not None:
        headers.append(("mcp-session-id", session_id))
    return headers


def timeouts_for(timeout: float) -> Timeouts:
    return Timeouts(connect=min(10.0, timeout), head=timeout, idle=timeout)


async def messages(response: ByteResponse, reader: EventReader) -> AsyncIterator[Incoming]:
    """The messages of a stream, as they come; ``reader`` remembers where it ended. Raises ``TransportFailure``."""
    try:
        async for chunk in response.chunks():
            for data in reader.feed(chunk):
                message = decode(data)
                if message is not None:
                    yield message
    except EventTooLarge:
        text = f"one event is larger than {MAX_MESSAGE_BYTES} bytes"
        raise TransportFailure("upstream_too_large", text, sent=True) from None


def fault_of(server: str, failure: TransportFailure) -> MemberFault:
    """A broken exchange as the hub's own fault."""
    code = _CODES.get(failure.code, "member_unavailable" if not failure.sent else "member_lost")
    return MemberFault(code=code, message=f"{server}: {failure}", stage="request", sent=failure.sent)


def status_fault(server: str, status: int, retry_after: str | None) -> MemberFault:
    """An HTTP status that carries no JSON-RPC answer."""
    if status in (401, 403):
        text = f"{server} rejected the gate's credential (status {status}); the operator must mend its headers."
        return MemberFault(code="member_credentials", message=text, stage="request", sent=True)
    wait = f" It asks to wait {retry_after} s." if retry_after else ""
    text = f"{server} answered with status {status}.{wait}"
    return MemberFault(code="member_http_error", message=text, stage="answer", sent=True)


def is_stream(response: ByteResponse) -> bool:
    """Whether the answer is an event stream, not one JSON body."""
    return header_of(response, "content-type").startswith("text/event-stream")


def header_of(response: ByteResponse, name: str) -> str:
    for found, value in response.headers:
        if found == name:
            return value
    return ""
