"""Tokens that a client carries for the gate and cannot read, change, or use elsewhere.

AES-256-GCM under a key derived from the installation's secret, one key per purpose. ``bound`` is what the
token is bound to (a principal, an endpoint): it is not in the token, and opening needs the same. All replicas
that share the secret open one another's tokens.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES = 12
_TAG_BYTES = 16


class Sealer:
    """Seals for one purpose."""

    __slots__ = ("_cipher",)

    def __init__(self, secret: bytes, purpose: str) -> None:
        self._cipher = AESGCM(hmac.digest(secret, f"tollkeeper/{purpose}".encode(), "sha256"))

    def seal(self, plain: bytes, bound: bytes) -> str:
        """A token in URL-safe characters."""
        nonce = os.urandom(_NONCE_BYTES)
        return base64.urlsafe_b64encode(nonce + self._cipher.encrypt(nonce, plain, bound)).decode().rstrip("=")

    def open(self, token: str, bound: bytes) -> bytes | None:
        """What was sealed; ``None`` for anything that was not sealed here for ``bound``."""
        try:
            data = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        except (binascii.Error, ValueError):
            return None
        if len(data) < _NONCE_BYTES + _TAG_BYTES:
            return None
        try:
            return self._cipher.decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], bound)
        except InvalidTag:
            return None
