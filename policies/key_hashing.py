"""How virtual keys are kept at rest: by a digest with a scheme, never by the secret.

Generated keys (256 random bits) are stored as HMAC-SHA-256 under the installation's pepper, so that a
stolen database alone cannot be searched; imported ones as plain SHA-256, the form they come in.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Literal

Scheme = Literal["hmac-sha256", "sha256"]

HINT_LENGTH = 4


def new_secret() -> str:
    """A virtual key's secret: ``vk-`` and 256 random bits."""
    return "vk-" + secrets.token_urlsafe(32)


def hint_of(secret: str) -> str:
    """The end of a secret, by which people recognise it."""
    return secret[-HINT_LENGTH:]


class KeyHasher:
    """Digests under one pepper."""

    def __init__(self, pepper: bytes) -> None:
        self._pepper = pepper

    def peppered(self, secret: str) -> bytes:
        """HMAC-SHA-256 under the pepper."""
        return hmac.digest(self._pepper, secret.encode(), "sha256")

    def plain(self, secret: str) -> bytes:
        """SHA-256."""
        return hashlib.sha256(secret.encode()).digest()
