"""Where a virtual key may stand in a request (design: the five headers that users of the field know)."""

from __future__ import annotations

from collections.abc import Mapping

from policies.identity import Directory, VirtualKey
from policies.types import Refusal

EXPLICIT = "x-bf-vk"
OTHERS = ("x-api-key", "x-goog-api-key", "api-key")
_BESIDE = frozenset((EXPLICIT, *OTHERS))


def bearer(headers: Mapping[str, str]) -> str | None:
    """The token of an ``Authorization: Bearer`` header."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return (token.strip() or None) if scheme.lower() == "bearer" else None


def identify(directory: Directory, headers: Mapping[str, str]) -> VirtualKey | Refusal:
    """The virtual key of a request. ``x-bf-vk`` comes first: if it is there it must be a known key, and
    another known key beside it is a conflict. What else is not a known key is somebody's own credential."""
    if _BESIDE.isdisjoint(headers):
        token = bearer(headers)
        return directory.identify(() if token is None else (token,))
    explicit = headers.get(EXPLICIT)
    rest = [value for name in OTHERS if (value := headers.get(name))]
    token = bearer(headers)
    if token is not None:
        rest.append(token)
    if explicit is None:
        return directory.identify(rest)
    found = directory.identify((explicit,))
    if isinstance(found, Refusal):
        return found
    return directory.identify((explicit, *rest))
