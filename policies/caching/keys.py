"""What is equal for the cache: SHA-256 over canonical parts, and who shares what.

Parts are hashed as MessagePack, which says how long each is, so that no two lists of parts run together to the same
bytes. The partition is a part: no answer is ever found under another principal's partition, whatever else is equal.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from policies.types import Principal

VERSION = b"tollkeeper cache 2"
"""Hashed in front: entries of another layout are never found."""

CacheScope = Literal["key", "team", "customer"]

# MessagePack writes the length before every part (https://github.com/msgpack/msgpack/blob/master/spec.md).
_in_order = msgspec.msgpack.Encoder().encode
_by_name = msgspec.msgpack.Encoder(order="deterministic").encode


def digest(parts: Iterable[bytes]) -> bytes:
    """32 bytes, different for every different list of parts."""
    return hashlib.sha256(VERSION + _in_order(list(parts))).digest()


def entry_id(partition: str, kind: str, subject: str, fields: Mapping[str, bytes]) -> bytes:
    """The id of the answer to a call."""
    return hashlib.sha256(VERSION + _by_name((partition, kind, subject, fields))).digest()


def short(data: bytes) -> str:
    """Enough of a digest to tell that a field differs (48 bits)."""
    return hashlib.sha256(data).hexdigest()[:12]


def partition_of(principal: Principal, scope: CacheScope, cache_key: str | None) -> str:
    """Who shares an answer. A key without a team (or customer) shares with nobody, whatever the scope."""
    who = f"key:{principal.key}"
    if scope == "team" and principal.team is not None:
        who = f"team:{principal.team}"
    elif scope == "customer" and principal.customer is not None:
        who = f"customer:{principal.customer}"
    return who if cache_key is None else f"{who}#{cache_key}"
