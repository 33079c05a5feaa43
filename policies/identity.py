"""Who calls: a credential becomes a ``VirtualKey``, with everything about it prepared.

Secrets are looked up by digest. Generated keys are stored as HMAC-SHA-256 under the installation's
pepper, imported ones as plain SHA-256 (``policies.key_hashing``); both digests of a presented secret
are tried. A dictionary look-up by digest reveals nothing about a secret by its timing, because the
digest of a guess is unrelated to the digest of the secret.

A secret that was found is remembered by a third digest (BLAKE2b under a random key of this process), because the
first two cost 5 µs together, and in OpenSSL the interpreter's lock. The secret itself is not kept, the third digest
is worth nothing outside the process, and only secrets that are keys are remembered: guesses take no room.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

from policies.admission import Grants
from policies.caching.rules import NO_RULE, Rule
from policies.refusals import conflicting_keys, expired_key, missing_key, revoked_key, unknown_key
from policies.run_limits import NO_LIMITS, RunLimits
from policies.tiers import Tier
from policies.types import Principal, Refusal

Digest = Callable[[str], bytes]
MOST_REMEMBERED = 100_000
"""Secrets; 16 bytes of digest and a place in a table each."""


@dataclass(frozen=True, eq=False)
class VirtualKey:
    """One virtual key, compiled: never its secret. Compared by identity: an edited key is another one,
    so that what was prepared for the old one is not found for the new."""

    principal: Principal
    grants: Grants
    tiers: tuple[Tier, ...]
    """Key, team and customer: each is charged."""
    provider_tiers: Mapping[str, Tier] = field(default_factory=dict)
    """Limits of this key at one provider."""
    provider_weights: Mapping[str, float] = field(default_factory=dict)
    """The key's own routing weights, where its provider entries declare them."""
    run_limits: RunLimits = NO_LIMITS
    """Of each run of this key: the narrower of its own and its team's."""
    cache: Rule = NO_RULE
    """How this key uses the cache of model answers."""
    expires_ns: int | None = None
    revoked: bool = False
    tier_names: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tier_names", tuple(tier.label for tier in self.tiers))


class Directory:
    """All virtual keys of a running gateway. Replaced whole on reload; single keys change at once."""

    def __init__(self, digests: Sequence[Digest], clock: Callable[[], int]) -> None:
        self._digests = tuple(digests)
        self._clock = clock
        self._keys: dict[bytes, VirtualKey] = {}
        self._mark_key = os.urandom(32)
        self._remembered: dict[bytes, VirtualKey] = {}

    def replace(self, keys: Iterable[tuple[bytes, VirtualKey]]) -> None:
        """Take a complete new set of (digest, key)."""
        self._keys = dict(keys)
        self._remembered.clear()

    def put(self, digest: bytes, key: VirtualKey) -> None:
        """Add or change one key; acts on the next call."""
        self._keys[digest] = key
        self._remembered.clear()

    def all(self) -> Collection[VirtualKey]:
        return self._keys.values()

    def identify(self, secrets: Sequence[str]) -> VirtualKey | Refusal:
        """The key that was presented. ``secrets`` are those of all credential headers, at least one
        of which must be a virtual key; two different ones are refused."""
        found: VirtualKey | None = None
        for secret in secrets:
            key = self._find(secret)
            if key is None:
                continue
            if found is not None and found is not key:
                return conflicting_keys()
            found = key
        if found is None:
            return unknown_key() if secrets else missing_key()
        if found.revoked:
            return revoked_key(found.principal.key)
        if found.expires_ns is not None and found.expires_ns <= self._clock():
            return expired_key(found.principal.key)
        return found

    def knows(self, secret: str) -> bool:
        """Whether ``secret`` is any virtual key: such a one is never sent upstream."""
        return self._find(secret) is not None

    def _find(self, secret: str) -> VirtualKey | None:
        mark = blake2b(secret.encode(), digest_size=16, key=self._mark_key).digest()
        known = self._remembered.get(mark)
        if known is not None:
            return known
        for digest in self._digests:
            key = self._keys.get(digest(secret))
            if key is not None:
                if len(self._remembered) >= MOST_REMEMBERED:
                    self._remembered.clear()
                self._remembered[mark] = key
                return key
        return None
