"""The stateless era on the client's side (2026-07-28): what a request must say, how results look.

Every request names its version and the client's capabilities in ``_meta``; the headers are mirrors that
must agree with the body, which is the truth
(https://modelcontextprotocol.io/specification/2026-07-28/basic/transports#streamable-http).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from mcp_hub.error_codes import HEADER_MISMATCH, INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, UNSUPPORTED_VERSION
from mcp_hub.log_levels import LOG_LEVELS
from mcp_hub.seams import MODERN_VERSION
from mcp_hub.wire.header_values import decode_header
from mcp_hub.wire.messages import Message, WireError, required_string, string_of

META_VERSION = "io.modelcontextprotocol/protocolVersion"
META_CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
META_SERVER_INFO = "io.modelcontextprotocol/serverInfo"
META_SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"
META_LOG_LEVEL = "io.modelcontextprotocol/logLevel"
_VERSION = msgspec.Raw(msgspec.json.encode(MODERN_VERSION))

ROUTING_HEADERS = ("mcp-protocol-version", "mcp-method", "mcp-name")
_NAMED: Mapping[str, str] = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}

METHODS = frozenset(
    {
        "server/discover",
        "tools/list",
        "tools/call",
        "prompts/list",
        "prompts/get",
        "resources/list",
        "resources/templates/list",
        "resources/read",
        "completion/complete",
        "subscriptions/listen",
    }
)

TTL_MS = 60_000
"""How long a list may be reused by a client that does not listen for changes."""

_LIST_FILTERS = {
    "toolsListChanged": "notifications/tools/list_changed",
    "promptsListChanged": "notifications/prompts/list_changed",
    "resourcesListChanged": "notifications/resources/list_changed",
}
RESOURCE_FILTER = "resourceSubscriptions"
MOST_WATCHED = 256
"""Resources that one stream may ask to hear of."""


def wanted_notices(message: Message) -> tuple[list[str], list[str]]:
    """What a ``subscriptions/listen`` asks for: list filters, and URIs. Raises ``WireError``."""
    raw = message.params.get("notifications")
    try:
        asked = msgspec.json.decode(raw, type=dict[str, Any]) if raw is not None else {}
    except msgspec.MsgspecError:
        asked = {}
    uris = asked.get(RESOURCE_FILTER) or []
    if not isinstance(uris, list) or not all(isinstance(uri, str) for uri in uris) or len(uris) > MOST_WATCHED:
        text = f"'{RESOURCE_FILTER}' must be a list of at most {MOST_WATCHED} URIs"
        raise WireError(INVALID_PARAMS, text, request_id=message.request_id or b"null")
    return [name for name in _LIST_FILTERS if asked.get(name) is True], list(dict.fromkeys(uris))


def listed(honoured: Mapping[str, Any]) -> frozenset[str]:
    """The list notices among what is honoured."""
    return frozenset(method for name, method in _LIST_FILTERS.items() if name in honoured)


OBJECT_OPEN = b'{"resultType":"complete",'


def wanted_level(message: Message) -> str | None:
    """From which level on this request wants log messages; ``None``: not at all. Raises ``WireError``."""
    raw = message.meta.get(META_LOG_LEVEL)
    if raw is None:
        return None
    level = string_of(raw)
    if level not in LOG_LEVELS:
        text = f"'{META_LOG_LEVEL}' must be one of {', '.join(LOG_LEVELS)}"
        raise WireError(INVALID_PARAMS, text, request_id=message.request_id or b"null")
    return level


def validate(message: Message, headers: Mapping[str, str], repeated: Sequence[str]) -> None:
    """The ladder of checks before a request is judged. ``repeated`` names routing headers that came
    more than once. Raises ``WireError``."""
    request_id = message.request_id or b"null"
    if message.method is None:
        raise WireError(INVALID_REQUEST, "a client sends requests only; post no responses", request_id=request_id)
    if repeated:
        raise mismatch(f"the header {repeated[0]} came more than once", request_id)
    said = message.meta.get(META_VERSION)
    version = MODERN_VERSION if said == _VERSION else string_of(said)
    header = headers.get("mcp-protocol-version")
    if header is not None and version is not None and header != version:
        raise mismatch(f"MCP-Protocol-Version is {header!r}, the body says {version!r}", request_id)
    if (version or header or MODERN_VERSION) != MODERN_VERSION:
        raise WireError(
            UNSUPPORTED_VERSION,
            "Unsupported protocol version",
            request_id=request_id,
            data={"supported": [MODERN_VERSION], "requested": version or header},
        )
    if version is None or META_CAPABILITIES not in message.meta:
        missing = META_VERSION if version is None else META_CAPABILITIES
        raise WireError(INVALID_PARAMS, f"_meta[{missing!r}] is missing", request_id=request_id)
    if header is None:
        raise mismatch("the header MCP-Protocol-Version is missing", request_id)
    _validate_mirrors(message, headers, request_id)
    if message.method not in METHODS and message.request_id is not None:
        raise WireError(METHOD_NOT_FOUND, "Method not found", status=404, request_id=request_id)


def _validate_mirrors(message: Message, headers: Mapping[str, str], request_id: bytes) -> None:
    method = headers.get("mcp-method")
    if method != message.method and (method is None or method.strip(" \t") != message.method):
        raise mismatch(f"Mcp-Method is {method!r}, the body says {message.method!r}", request_id)
    field = _NAMED.get(message.method or "")
    if field is None:
        return
    expected = required_string(message, field)
    name = headers.get("mcp-name")
    plain = name == expected and not expected.startswith("=?")
    if not plain and (name is None or decode_header(name) != expected):
        raise mismatch(f"Mcp-Name does not agree with params.{field}", request_id)


def mismatch(message: str, request_id: bytes) -> WireError:
    return WireError(HEADER_MISMATCH, f"Header mismatch: {message}", request_id=request_id)


def list_frame(field: str, meta: bytes, *, cursor: str | None, fresh: bool) -> tuple[bytes, bytes]:
    """What the result says before and after a page of a list: private, because it is filtered by key; not to be kept
    while a member is not well."""
    following = b"" if cursor is None else b',"nextCursor":"%b"' % cursor.encode()
    hints = b',"ttlMs":%d,"cacheScope":"private","_meta":%b}' % (TTL_MS if fresh else 0, meta)
    return b'%b"%b":' % (OBJECT_OPEN, field.encode()), following + hints


def complete(result: msgspec.Raw, *, cacheable: bool = False) -> bytes:
    """A member's result with what the modern wire requires: ``resultType``, and cache hints where due.
    What the member said stays; a member of the older era said nothing."""
    data = bytes(result)
    find = data.find  # ``in`` would ask whether the bytes are a number first
    if not cacheable and data[:1] == b"{" and find(b'"resultType"') < 0:
        # Only an object without fields holds no quotation mark.
        return data[:-1] + b',"resultType":"complete"}' if find(b'"') >= 0 else b'{"resultType":"complete"}'
    fields = msgspec.json.decode(result, type=dict[str, msgspec.Raw])
    missing: dict[str, Any] = {}
    if "resultType" not in fields:
        missing["resultType"] = "complete"
    if cacheable and "ttlMs" not in fields:
        missing["ttlMs"] = 0
    if cacheable and bytes(fields.get("cacheScope", b"")) != b'"private"':
        missing["cacheScope"] = "private"
    return msgspec.json.encode({**fields, **missing}) if missing else data


def discover_result(capabilities: Mapping[str, Any], instructions: str | None, meta: Mapping[str, Any]) -> bytes:
    """The answer to ``server/discover``."""
    result: dict[str, Any] = {
        "resultType": "complete",
        "supportedVersions": [MODERN_VERSION],
        "capabilities": dict(capabilities),
        "ttlMs": TTL_MS,
        "cacheScope": "private",
        "_meta": dict(meta),
    }
    if instructions:
        result["instructions"] = instructions
    return msgspec.json.encode(result)
