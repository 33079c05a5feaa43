"""The way to one thing of one member: all of a call that is the same for every call of it.

Made when a key first calls a name, and kept as long as its view (``sight.py``): where the name leads, what the
member may ask of such a client, which warm session serves it, how long it may be silent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from mcp_hub.capabilities import Profile
from mcp_hub.seams import Era
from mcp_hub.session_key import SessionKey
from mcp_hub.view import Origin
from policies.dispatch import Target
from policies.pricing import Price

ToolPrice = Callable[[str, str], Price]


class Way(msgspec.Struct, eq=False, kw_only=True):
    """For one key and one kind of client."""

    origin: Origin
    name: msgspec.Raw
    """The member's own name for it, raw JSON."""
    era: Era
    """The member's, when it was last read."""
    profile: Profile
    """What the member may ask."""
    declared: bytes
    """The same as the member is told it."""
    session: SessionKey | None
    """Which session serves it; ``None``: that depends on the client's own session."""
    timeout_s: float
    renamed: Mapping[str, str]
    """The member's URIs that this client knows in another form."""
    _priced: tuple[ToolPrice, Sequence[Target]] | None = None

    def targets(self, price: ToolPrice) -> Sequence[Target]:
        """Where a call goes: to this member. Made anew when there are new prices."""
        priced = self._priced
        if priced is None or priced[0] is not price:
            server, name = self.origin.server, self.origin.name
            priced = self._priced = price, (Target(server, name, price(server, name)),)
        return priced[1]
