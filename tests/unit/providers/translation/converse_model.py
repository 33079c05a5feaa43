"""Checks Converse's bodies against AWS's own service model, strictly, and builds frames of its event stream."""

from __future__ import annotations

import base64
import re
import struct
from binascii import crc32
from functools import lru_cache
from typing import Any

import msgspec
from botocore.loaders import Loader
from botocore.model import ServiceModel, Shape
from botocore.parsers import create_parser
from botocore.validate import ParamValidator


@lru_cache(maxsize=1)
def _service() -> ServiceModel:
    return ServiceModel(Loader().load_service_model("bedrock-runtime", "service-2"))


def checked_request(body: bytes) -> Any:
    """The decoded body; fails where it is no input of both operations."""
    fields = msgspec.json.decode(body)
    for operation in ("Converse", "ConverseStream"):
        shape = _service().operation_model(operation).input_shape
        values = _native({**fields, "modelId": "anthropic.claude-sonnet-4-5-20250929-v1:0"}, shape, "$")
        report = ParamValidator().validate(values, shape)
        assert not report.has_errors(), report.generate_report()
    return fields


def _native(value: Any, shape: Shape, path: str) -> Any:
    """``value`` as botocore's callers write it: bytes for blobs. Checks what botocore leaves to the service: enums and
    patterns."""
    if getattr(shape, "is_document_type", False):
        return value
    if shape.type_name == "structure":
        assert isinstance(value, dict), path
        members = shape.members
        return {k: _native(v, members[k], f"{path}.{k}") if k in members else v for k, v in value.items()}
    if shape.type_name == "list":
        assert isinstance(value, list), path
        return [_native(item, shape.member, f"{path}[{n}]") for n, item in enumerate(value)]
    if shape.type_name == "blob":
        return base64.b64decode(value, validate=True)
    if shape.type_name == "string":
        assert not shape.enum or value in shape.enum, f"{path}: {value!r} is none of {shape.enum}"
        pattern = shape.metadata.get("pattern")
        assert pattern is None or re.fullmatch(pattern, value), f"{path}: {value!r} does not match {pattern}"
    return value


def parsed_answer(body: bytes) -> Any:
    """A whole answer as AWS's SDK reads it."""
    shape = _service().operation_model("Converse").output_shape
    return create_parser("rest-json").parse({"status_code": 200, "headers": {}, "body": body}, shape)


def known_event(name: str, event: Any) -> None:
    """Fails if the service model knows no such event, or not its fields."""
    shape = _service().operation_model("ConverseStream").output_shape.members["stream"].members[name]
    report = ParamValidator().validate(_native(event, shape, name), shape)
    assert not report.has_errors(), report.generate_report()


def frame(headers: dict[str, str], payload: bytes) -> bytes:
    """One message of ``application/vnd.amazon.eventstream``."""
    packed = b"".join(
        struct.pack("!B", len(name)) + name + b"\x07" + struct.pack("!H", len(value)) + value
        for name, value in ((name.encode(), value.encode()) for name, value in headers.items())
    )
    prelude = struct.pack("!II", 16 + len(packed) + len(payload), len(packed))
    prelude += struct.pack("!I", crc32(prelude))
    message = prelude + packed + payload
    return message + struct.pack("!I", crc32(message))


def event(name: str, **fields: Any) -> bytes:
    """A frame of an event that the service model knows."""
    known_event(name, fields)
    headers = {":event-type": name, ":content-type": "application/json", ":message-type": "event"}
    # The service pads its events so that their lengths tell nothing.
    return frame(headers, msgspec.json.encode({**fields, "p": "abcdefgh"}))


def exception(kind: str, **fields: Any) -> bytes:
    headers = {":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"}
    return frame(headers, msgspec.json.encode(fields))
