"""Cursors of the hub's own lists: sealed (view, list, page), so that pages of two generations never mix.

A cursor is bound to its principal and endpoint. One whose list has changed since is invalid, and the client
reads from the beginning (https://modelcontextprotocol.io/specification/2026-07-28/server/utilities/pagination).
"""

from __future__ import annotations

import msgspec

from policies.sealing import Sealer


class _Position(msgspec.Struct, frozen=True, array_like=True):
    method: str
    digest: str
    page: int


_decode = msgspec.json.Decoder(_Position).decode


class Cursors:
    """Hands cursors out and takes them back."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    def seal(self, bound: bytes, method: str, digest: str, page: int) -> str:
        return self._sealer.seal(msgspec.json.encode(_Position(method, digest, page)), bound)

    def page(self, cursor: str, bound: bytes, method: str, digest: str) -> int | None:
        """The page that a cursor names; ``None`` for one that is not valid here and now."""
        plain = self._sealer.open(cursor, bound)
        if plain is None:
            return None
        position = _decode(plain)
        return position.page if (position.method, position.digest) == (method, digest) else None
