"""What the gate puts into a member's params: the era's ``_meta``, the progress token.

In the stateless era every request names its version, the client and the client's capabilities; these
are the gate's, as this hop's client, and the capabilities are the caller's, never invented.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from mcp_hub.seams import MODERN_VERSION, Caller, Era, RawObject

CLIENT_INFO = msgspec.Raw(b'{"name":"tollkeeper","version":"0.1.0"}')
_VERSION = msgspec.Raw(msgspec.json.encode(MODERN_VERSION))
_LOG_LEVEL = "io.modelcontextprotocol/logLevel"
_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


_PLAIN_META = (
    b'{"io.modelcontextprotocol/protocolVersion":"%b","io.modelcontextprotocol/clientInfo":%b,'
    b'"io.modelcontextprotocol/clientCapabilities":%%b}' % (MODERN_VERSION.encode(), bytes(CLIENT_INFO))
)
"""What a modern request says of this hop, but for the capabilities."""


def _with_meta(params: bytes, meta: bytes) -> bytes:
    """An encoded object without ``_meta``, with it."""
    return b'%b%b"_meta":%b}' % (params[:-1], b"" if params == b"{}" else b",", meta)


@dataclass(frozen=True, slots=True)
class Stamp:
    """How requests of one session are stamped."""

    era: Era

    def params(self, params: RawObject, progress_token: int | None, caller: Caller | None = None) -> bytes:
        """The params to send, as raw JSON."""
        if self.era == "legacy" and progress_token is None:
            return msgspec.json.encode(params)
        sent = params.get("_meta")
        if sent is None and progress_token is None and (caller is None or caller.log_level is None):
            declared = caller.capabilities if caller is not None else b"{}"
            return _with_meta(msgspec.json.encode(params), _PLAIN_META % declared)
        meta = _object(sent) if sent is not None else {}
        if self.era == "modern":
            meta["io.modelcontextprotocol/protocolVersion"] = _VERSION
            meta["io.modelcontextprotocol/clientInfo"] = CLIENT_INFO
            meta["io.modelcontextprotocol/clientCapabilities"] = msgspec.Raw(
                caller.capabilities if caller is not None else b"{}"
            )
            if caller is not None and caller.log_level is not None and _LOG_LEVEL not in meta:
                meta[_LOG_LEVEL] = msgspec.Raw(msgspec.json.encode(caller.log_level))
        if progress_token is not None:
            meta["progressToken"] = msgspec.Raw(b"%d" % progress_token)
        return msgspec.json.encode({**params, "_meta": meta})
