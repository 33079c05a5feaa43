"""JSON-RPC as the client sends it: one message, split as far as decisions need (both eras).

Ids and values stay raw. Errors carry the HTTP status that the modern wire asks for
(https://modelcontextprotocol.io/specification/2026-07-28/basic/transports).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from mcp_hub.error_codes import INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST, PARSE_ERROR
from mcp_hub.log_levels import LOG_LEVELS
from mcp_hub.seams import QuestionAnswer, RawObject, RpcError
from policies.strict_json import BodyError, strict_object

_ENVELOPE = frozenset({"jsonrpc", "id", "method", "params", "result", "error"})
_PARAMS = frozenset(
    {"name", "arguments", "uri", "cursor", "_meta", "ref", "argument", "protocolVersion"}
    | {"requestState", "inputResponses"}
)
_NULL = b"null"
_VERSION = msgspec.Raw(b'"2.0"')


class WireError(Exception):
    """A message that gets a JSON-RPC error. ``request_id`` is raw JSON (``null`` when unknown)."""

    def __init__(
        self,
        code: int,
        message: str,
        *,
        status: int = 400,
        request_id: bytes = _NULL,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.request_id = request_id
        self.data = data


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One request (``request_id`` is raw JSON), notification (no id, a method) or response (no method)."""

    method: str | None
    request_id: bytes | None
    params: RawObject
    meta: Mapping[str, msgspec.Raw]
    result: msgspec.Raw | None = None
    """Of a response to a question."""
    error: msgspec.Raw | None = None


_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_string = msgspec.json.Decoder(str).decode
_EMPTY: RawObject = {}


def read_message(body: bytes) -> Message:
    """Split one message. Raises ``WireError``."""
    fields, params = _plain(body) or (_envelope(body), None)
    if fields.get("jsonrpc") != _VERSION:
        raise WireError(INVALID_REQUEST, "'jsonrpc' must be \"2.0\"", data={"code": "invalid_request"})
    request_id = _request_id(fields)
    known = request_id or _NULL
    method = string_of(fields.get("method"))
    if method is None and "method" in fields:
        raise WireError(INVALID_REQUEST, "'method' must be a string", request_id=known)
    if params is None:
        params = _params(fields, known)
    return Message(
        method=method,
        request_id=request_id,
        params=params,
        meta=_meta(params, known),
        result=fields.get("result"),
        error=fields.get("error"),
    )


def _plain(body: bytes) -> tuple[RawObject, RawObject] | None:
    """The fields of a message and of its params, if each is there once.

    A body that its own fields encode to again, byte for byte, holds every key once: that is cheaper to see than to
    walk through, and true of what clients send. ``None`` for everything else, which is walked.
    """
    try:
        fields = _object(body)
        params = _object(fields["params"]) if "params" in fields else _EMPTY
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
    known = body.isascii() and _ENVELOPE.issuperset(fields) and _PARAMS.issuperset(params)
    whole = {**fields, "params": params} if "params" in fields else fields
    return (fields, params) if known and msgspec.json.encode(whole) == body else None


def _envelope(body: bytes) -> RawObject:
    try:
        return dict(strict_object(body, _ENVELOPE).items())
    except BodyError as error:
        code = INVALID_REQUEST if error.code == "ambiguous_body" else PARSE_ERROR
        raise WireError(code, error.message, data={"code": error.code}) from None


def _request_id(fields: RawObject) -> bytes | None:
    raw = fields.get("id")
    if raw is None:
        return None
    text = bytes(raw)
    if text[:1] == b'"' or text.lstrip(b"-").isdigit():
        return text
    raise WireError(INVALID_REQUEST, "'id' must be a string or an integer", data={"code": "invalid_request"})


def _params(fields: RawObject, request_id: bytes) -> RawObject:
    raw = fields.get("params")
    if raw is None or bytes(raw) == _NULL:
        return _EMPTY
    try:
        return dict(strict_object(bytes(raw), _PARAMS).items())
    except BodyError as error:
        code = INVALID_REQUEST if error.code == "ambiguous_body" else INVALID_PARAMS
        raise WireError(code, f"'params': {error.message}", request_id=request_id, data={"code": error.code}) from None


def _meta(params: RawObject, request_id: bytes) -> Mapping[str, msgspec.Raw]:
    raw = params.get("_meta")
    if raw is None:
        return _EMPTY
    try:
        return _object(raw)
    except msgspec.MsgspecError:
        raise WireError(INVALID_PARAMS, "'_meta' must be an object", request_id=request_id) from None


def required_string(message: Message, name: str) -> str:
    """A string in params. Raises ``WireError``."""
    raw = message.params.get(name)
    value = string_of(raw)
    if value is None:
        reason = f"'{name}' is missing" if raw is None else f"'{name}' must be a string"
        raise WireError(INVALID_PARAMS, reason, request_id=message.request_id or _NULL)
    return value


def string_of(raw: msgspec.Raw | None) -> str | None:
    """A raw JSON string's text; ``None`` for anything else."""
    if raw is None:
        return None
    try:
        return _string(raw)
    except msgspec.MsgspecError:
        return None


def log_level(message: Message) -> str:
    """The level of a ``logging/setLevel``. Raises ``WireError``."""
    level = required_string(message, "level")
    if level not in LOG_LEVELS:
        text = f"'level' must be one of {', '.join(LOG_LEVELS)}"
        raise WireError(INVALID_PARAMS, text, status=200, request_id=message.request_id or _NULL)
    return level


def answer_of(message: Message) -> QuestionAnswer:
    """What a response says: its result, or its error."""
    if message.result is not None and bytes(message.result)[:1] == b"{":
        return message.result
    try:
        return msgspec.json.decode(message.error or b"{}", type=_Error).value()
    except msgspec.MsgspecError:
        return _Error().value()


class _Error(msgspec.Struct):
    code: int = INTERNAL_ERROR
    message: str = "The client's answer cannot be read."

    def value(self) -> RpcError:
        return RpcError(self.code, self.message)


def raw_json(value: object) -> msgspec.Raw:
    """A value as raw JSON."""
    return msgspec.Raw(msgspec.json.encode(value))


def request_bytes(request_id: str, method: str, params: Mapping[str, Any]) -> bytes:
    """A request to a client."""
    return msgspec.json.encode({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params})


def result_bytes(request_id: bytes, result: bytes) -> bytes:
    """A response with a raw result."""
    return b"".join((b'{"jsonrpc":"2.0","id":', request_id, b',"result":', result, b"}"))


def framed_bytes(request_id: bytes, frame: tuple[bytes, bytes], array: bytes) -> bytes:
    """A response whose result is ``array`` in its ``frame``: a long list is copied once."""
    return b"".join((b'{"jsonrpc":"2.0","id":', request_id, b',"result":', frame[0], array, frame[1], b"}"))


def error_bytes(request_id: bytes, code: int, message: str, data: object | None = None) -> bytes:
    """An error response; ``data`` may be raw."""
    error: dict[str, object] = {"code": code, "message": message}
    if data is not None:
        error["data"] = data
    return b"".join((b'{"jsonrpc":"2.0","id":', request_id, b',"error":', msgspec.json.encode(error), b"}"))


def notification_bytes(method: str, params: Mapping[str, Any]) -> bytes:
    """A notification."""
    return msgspec.json.encode({"jsonrpc": "2.0", "method": method, "params": params})
