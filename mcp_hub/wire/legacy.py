"""The initialize era on the client's side (2024-11-05 to 2025-11-25): negotiation and older shapes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from mcp_hub.seams import LEGACY_VERSIONS
from mcp_hub.wire.messages import Message, string_of

METHODS = frozenset(
    {
        "initialize",
        "ping",
        "tools/list",
        "tools/call",
        "prompts/list",
        "prompts/get",
        "resources/list",
        "resources/templates/list",
        "resources/read",
        "completion/complete",
        "logging/setLevel",
    }
)

_MODERN_FIELDS = ("resultType", "ttlMs", "cacheScope")
_SERVER_INFO = "io.modelcontextprotocol/serverInfo"


def negotiate(message: Message) -> str:
    """The version to speak: the client's if it is known, else our newest (the client may then leave)."""
    asked = string_of(message.params.get("protocolVersion"))
    return asked if asked in LEGACY_VERSIONS else LEGACY_VERSIONS[0]


def initialize_result(
    version: str, capabilities: Mapping[str, Any], instructions: str | None, server_info: Mapping[str, Any]
) -> bytes:
    """The answer to ``initialize``."""
    result: dict[str, Any] = {
        "protocolVersion": version,
        "capabilities": dict(capabilities),
        "serverInfo": dict(server_info),
    }
    if instructions:
        result["instructions"] = instructions
    return msgspec.json.encode(result)


def list_frame(field: str, meta: bytes | None, cursor: str | None) -> tuple[bytes, bytes]:
    """What the result says before and after a page of a list; ``meta`` only when there is something to tell."""
    tail = b"" if meta is None else b',"_meta":' + meta
    if cursor is not None:
        tail += b',"nextCursor":"%b"' % cursor.encode()
    return b'{"%b":' % field.encode(), tail + b"}"


def older(result: msgspec.Raw) -> bytes:
    """A member's result without what only the modern wire knows; an older member's passes untouched."""
    data = bytes(result)
    if not _says_more(data):
        return data
    fields = msgspec.json.decode(result, type=dict[str, msgspec.Raw])
    drop = [name for name in _MODERN_FIELDS if name in fields]
    structured = fields.get("structuredContent")
    if structured is not None and bytes(structured)[:1] != b"{":
        drop.append("structuredContent")  # before 2026-07-28 it must be an object; the text block repeats it
    meta = fields.get("_meta")
    kept = _without_server_info(meta) if meta is not None and b"/serverInfo" in bytes(meta) else meta
    if not drop and kept is meta:
        return data
    for name in drop:
        del fields[name]
    if kept is None:
        fields.pop("_meta", None)
    else:
        fields["_meta"] = kept
    return msgspec.json.encode(fields)


def _says_more(data: bytes) -> bool:
    """Whether a result may hold what an older client does not know; one that does not is not looked into."""
    find = data.find  # ``in`` would ask whether the bytes are a number first
    modern = find(b'"resultType"') >= 0 or find(b'"ttlMs"') >= 0 or find(b'"cacheScope"') >= 0
    return modern or find(b'"structuredContent"') >= 0 or find(b"/serverInfo") >= 0


def _without_server_info(meta: msgspec.Raw) -> msgspec.Raw | None:
    fields = msgspec.json.decode(meta, type=dict[str, msgspec.Raw])
    fields.pop(_SERVER_INFO, None)
    return msgspec.Raw(msgspec.json.encode(fields)) if fields else None
