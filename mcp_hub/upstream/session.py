"""What sessions over every transport share: facts of the handshake, and answers to the member's requests.

A member may ask its client mid-call (sampling, elicitation, roots). What this hop does not declare it
refuses by name; ``ping`` is always answered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import msgspec

from mcp_hub.seams import Era, MemberFault, Notification, RawObject
from mcp_hub.upstream.envelope import Stamp
from mcp_hub.upstream.jsonrpc import Incoming, encode_error, encode_result

PROTOCOL_FAULT = "member_invalid_reply"

OnSessionNotification = Callable[[Notification], None]


@dataclass(frozen=True, slots=True)
class Handshake:
    """What a member said of itself when the session began."""

    era: Era
    protocol_version: str
    capabilities: RawObject = field(default_factory=dict)
    server_info: msgspec.Raw | None = None
    instructions: str | None = None


class Cannot(Exception):
    """A session could not be begun; carries the fault to report."""

    def __init__(self, fault: MemberFault) -> None:
        super().__init__(fault.message)
        self.fault = fault


def answer_member(message: Incoming) -> bytes:
    """The response to a member's own request."""
    request_id = message.id or b"null"
    if message.method == "ping":
        return encode_result(request_id, b"{}")
    return encode_error(request_id, -32601, f"The client does not offer {message.method}.")


def stamp_of(handshake: Handshake) -> Stamp:
    return Stamp(handshake.era)


_string = msgspec.json.Decoder(str).decode
_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def read_discover(result: msgspec.Raw) -> Handshake | None:
    """The handshake that a ``server/discover`` result amounts to; ``None`` if it is not one."""
    fields = _fields(result)
    if fields is None or "supportedVersions" not in fields:
        return None
    versions = msgspec.json.decode(fields["supportedVersions"], type=list[str])
    version = max(versions, default="")
    return Handshake("modern", version, _sub(fields, "capabilities"), _info(fields), _text(fields, "instructions"))


def read_initialize(result: msgspec.Raw) -> Handshake | None:
    """The handshake that an ``initialize`` result amounts to; ``None`` if it is not one."""
    fields = _fields(result)
    if fields is None or "protocolVersion" not in fields:
        return None
    return Handshake(
        "legacy",
        _text(fields, "protocolVersion") or "",
        _sub(fields, "capabilities"),
        fields.get("serverInfo"),
        _text(fields, "instructions"),
    )


def _fields(result: msgspec.Raw) -> Mapping[str, msgspec.Raw] | None:
    try:
        return _object(result)
    except msgspec.MsgspecError:
        return None


def _sub(fields: Mapping[str, msgspec.Raw], name: str) -> RawObject:
    raw = fields.get(name)
    found = _fields(raw) if raw is not None else None
    return found if found is not None else {}


def _text(fields: Mapping[str, msgspec.Raw], name: str) -> str | None:
    raw = fields.get(name)
    try:
        return _string(raw) if raw is not None else None
    except msgspec.MsgspecError:
        return None


def _info(fields: Mapping[str, msgspec.Raw]) -> msgspec.Raw | None:
    return _sub(fields, "_meta").get("io.modelcontextprotocol/serverInfo")
