"""What sessions over every transport share: the facts of the handshake.

A session of the initialize era tells at its beginning what its client may be asked, once for all its calls:
that is why the client's capability profile is part of a session's key. In the stateless era every request
says it anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import msgspec

from mcp_hub.capabilities import NOTHING, Profile
from mcp_hub.seams import Era, MemberFault, Notification, RawObject

OnSessionNotification = Callable[[Notification], None]


@dataclass(frozen=True, slots=True)
class Handshake:
    """What a member said of itself when the session began."""

    era: Era
    protocol_version: str
    capabilities: RawObject = field(default_factory=dict)
    server_info: msgspec.Raw | None = None
    instructions: str | None = None


@dataclass(frozen=True, slots=True)
class Tenancy:
    """Whom a session serves."""

    profile: Profile = NOTHING
    """What a session of the initialize era declares."""
    private: bool = False
    """All its calls are of one principal."""
    serial: bool = False
    """One call that may be asked at a time, from the beginning."""


EVERYBODY = Tenancy()


class Cannot(Exception):
    """A session could not be begun; carries the fault to report."""

    def __init__(self, fault: MemberFault) -> None:
        super().__init__(fault.message)
        self.fault = fault


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
