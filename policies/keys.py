"""Virtual keys that live in the database: what is stored of them, and the seam of their store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from policies.key_hashing import Scheme
from policies.types import Json


@dataclass(frozen=True, slots=True)
class StoredKey:
    """One key at rest. ``grants`` and ``limits`` are the words of the configuration."""

    name: str
    scheme: Scheme
    digest: bytes = field(repr=False)
    hint: str
    team: str | None
    customer: str | None
    grants: Mapping[str, list[str] | None]
    limits: Mapping[str, Json]
    created_ns: int
    expires_ns: int | None = None
    revoked_ns: int | None = None


class NameTaken(Exception):
    """A key of that name exists."""


class KeyStore(Protocol):
    """Where such keys are kept. Calls may block: use them off the event loop."""

    def all(self) -> list[StoredKey]:
        """Every row, revoked ones too: a rotated key's old secret is a row of its own."""

    def fingerprint(self) -> object:
        """Changes whenever a key does: how replicas notice each other's changes."""

    def add(self, key: StoredKey) -> None:
        """Raises ``NameTaken`` if a row that is not revoked has the name, unless it is being rotated."""

    def revoke(self, name: str, at_ns: int) -> int:
        """Revoke every live row of ``name``; how many there were."""

    def rotate(self, name: str, old_expires_ns: int, new: StoredKey) -> None:
        """Add ``new`` under the same name and let the old secrets end at ``old_expires_ns``, at once."""
