"""JSON-RPC towards members: messages as bytes, values untouched.

Params and results are raw JSON; an outgoing message is put together from pieces that were never decoded.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from mcp_hub.seams import RawObject, RpcError

MAX_MESSAGE_BYTES = 64 * 1024 * 1024

IncomingKind = Literal["response", "error", "request", "notification"]


class Incoming(msgspec.Struct, frozen=True, kw_only=True):
    """One message from a member, split one level deep."""

    kind: IncomingKind
    id: bytes | None = None
    method: str | None = None
    params: RawObject = {}
    reply: msgspec.Raw | RpcError | None = None
    """What a response or an error says."""


_ABSENT = msgspec.Raw()


class _Error(msgspec.Struct):
    code: int = 0
    message: str = ""
    data: msgspec.Raw = _ABSENT


class _Envelope(msgspec.Struct):
    # A union with Raw decodes to objects, so absence is the empty Raw.
    id: msgspec.Raw = _ABSENT
    method: str | None = None
    params: dict[str, msgspec.Raw] | None = None
    result: msgspec.Raw = _ABSENT
    error: _Error | None = None


_decode = msgspec.json.Decoder(_Envelope).decode


def decode(message: bytes) -> Incoming | None:
    """Split a message; ``None`` if it is not JSON-RPC (a banner, a broken line)."""
    try:
        envelope = _decode(message)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
    request_id = bytes(envelope.id) or None
    if envelope.method is not None:
        kind: IncomingKind = "notification" if request_id is None else "request"
        return Incoming(kind=kind, id=request_id, method=envelope.method, params=envelope.params or {})
    if envelope.error is not None:
        error = envelope.error
        return Incoming(kind="error", id=request_id, reply=RpcError(error.code, error.message, error.data or None))
    if envelope.result and request_id is not None:
        return Incoming(kind="response", id=request_id, reply=envelope.result)
    return None


def encode_request(request_id: int, method: str, params: bytes) -> bytes:
    """A request with raw params."""
    return b'{"jsonrpc":"2.0","id":%d,"method":"%b","params":%b}' % (request_id, method.encode(), params)


def encode_notification(method: str, params: bytes) -> bytes:
    """A notification with raw params."""
    return b'{"jsonrpc":"2.0","method":"%b","params":%b}' % (method.encode(), params)


def encode_result(request_id: bytes, result: bytes) -> bytes:
    """The answer to a member's request."""
    return b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (request_id, result)


def encode_error(request_id: bytes, code: int, message: str) -> bytes:
    """A refusal of a member's request."""
    error = msgspec.json.encode({"code": code, "message": message})
    return b'{"jsonrpc":"2.0","id":%b,"error":%b}' % (request_id, error)
