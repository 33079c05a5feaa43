"""What was worked out for one key, as long as nothing changes: so that a call looks it up instead.

A key's grants never change (an edited key is another one) and every change of the members begins a new generation
of the hub, so that nothing here can be out of date within its generation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from mcp_hub.capabilities import Profile
from mcp_hub.members import Member
from mcp_hub.session_key import SessionKey
from mcp_hub.view import View
from mcp_hub.way import Way
from policies.types import CallKind

K = TypeVar("K")
V = TypeVar("V")

MOST_KEPT = 64
"""Entries of one table: clients choose their profiles, and must not fill the memory with them."""
MOST_WAYS = 1_000
"""Ways of one key: an agent calls some tools again and again, not all there are."""

Place = tuple[str | None, Profile]
"""Where a client looks: at one server or (``None``) at all, and what it can be asked."""


class Sight:
    """Of one key, in one generation. Every table is filled by ``mcp_hub.hub``."""

    __slots__ = ("awaited", "generation", "sessions", "views", "visible", "ways")

    def __init__(self, generation: int) -> None:
        self.generation = generation
        self.visible: dict[str | None, Sequence[Member]] = {}
        """The members that the key may know of; only under names of members, which are few."""
        self.views: dict[Place, View] = {}
        self.awaited: dict[Place, bool] = {}
        """Where every member has answered or failed once."""
        self.sessions: dict[tuple[str, Profile, bool], SessionKey] = {}
        """By server, what it may ask and whether it is modern; of clients' own sessions only what they share."""
        self.ways: dict[tuple[str | None, Profile, CallKind, str], Way] = {}
        """By where a client looks, and the name that it found there."""


def keep(table: dict[K, V], place: K, value: V, most: int = MOST_KEPT) -> None:
    """Remember ``value``; a table that is full begins anew."""
    if len(table) >= most:
        table.clear()
    table[place] = value
