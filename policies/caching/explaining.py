"""Why a call would hit or miss: what it asks for, what is there, and in which fields the nearest answers differ."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec

from policies.caching.keys import short
from policies.caching.vocabulary import Entry, Query

MOST = 5


class NearMiss(msgspec.Struct, frozen=True):
    """A kept answer to a call that is not quite the same."""

    entry: Entry
    differs: tuple[str, ...]
    """Fields whose values differ, or that only one of both has."""


async def near_misses(query: Query, entries: AsyncIterator[Entry]) -> list[NearMiss]:
    """Answers of the same model or tool, those that differ least first; another partition is a difference. Only
    for the operator: a caller must not learn what others asked."""
    found = [
        NearMiss(entry, _differs(query, entry))
        async for entry in entries
        if entry.kind == query.kind and entry.subject == query.subject and entry.id != query.id
    ]
    return sorted(found, key=lambda miss: (len(miss.differs), -miss.entry.created_ns))[:MOST]


def _differs(query: Query, entry: Entry) -> tuple[str, ...]:
    asked = {name: short(value) for name, value in query.fields.items()}
    names = sorted(asked.keys() | entry.fields.keys())
    fields = tuple(name for name in names if asked.get(name) != entry.fields.get(name))
    return fields if query.partition == entry.partition else ("partition", *fields)
