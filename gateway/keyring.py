"""All virtual keys of a running gateway: those of the configuration file and those of the database.

One owner per object (law 9): a key of the file cannot be changed here, a key of the database is not
in the file. A change acts on the next call, because the directory is changed before the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from gateway.tiers import KeyLimits, Organisation, compile_grants, key_tier
from policies.identity import Directory, VirtualKey
from policies.key_hashing import KeyHasher
from policies.keys import KeyStore, StoredKey
from policies.refusals import instant
from policies.tiers import TierId
from policies.types import Principal


class KeyringError(Exception):
    """A key operation that cannot be done. ``status`` is the HTTP status that fits."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
