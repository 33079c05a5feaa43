"""Which warm session serves a call: identity is part of every key (law 4)."""

from __future__ import annotations

import msgspec

from mcp_hub.capabilities import NOTHING, Profile


class SessionKey(msgspec.Struct, frozen=True, cache_hash=True):
    """Equal keys share a session."""

    server: str
    partition: str = ""
    """Empty when shared; the virtual key's name (or a client session) when isolated."""
    profile: Profile = NOTHING
    """What the session declares of its client: a session of the initialize era fixes that at its start."""
