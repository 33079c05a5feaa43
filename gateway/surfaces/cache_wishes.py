"""What a caller says about caching, read from its headers; and what it is told.

Bifrost's headers mean what Bifrost documents (https://docs.getbifrost.ai/features/semantic-caching);
``Cache-Control`` means what RFC 9111 section 5.2.1 says of requests: ``no-store`` keeps nothing and looks up
nothing, ``no-cache`` asks anew and keeps the answer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from policies.caching.vocabulary import NO_WISH, Bypass, Layer, Plan, Wish
from policies.ledger import LedgerRow
from policies.types import Refusal

KEY = "x-bf-cache-key"
TTL = "x-bf-cache-ttl"
THRESHOLD = "x-bf-cache-threshold"
TYPE = "x-bf-cache-type"
NO_STORE = "x-bf-cache-no-store"
TAGS = "x-tollkeeper-cache-tags"
CONTROL = "cache-control"
SAID = "x-tollkeeper-cache"
SHARED = "exact; coalesced"
"""An identical call was under way: both were answered by one."""

MOST_TAGS = 16
MAX_NAME = 200
MAX_TTL_S = 31_536_000
_ORDER = (KEY, TTL, THRESHOLD, TYPE, NO_STORE, TAGS, CONTROL)
_NAMES = frozenset(_ORDER)
_TYPES: Mapping[str, Layer] = {"direct": "exact", "semantic": "semantic"}
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION = re.compile(r"([0-9]{1,9})(?:\.0+)?([smhd]?)")
_NUMBER = re.compile(r"[01](?:\.[0-9]{1,9})?|\.[0-9]{1,9}")


def wish_of(headers: Mapping[str, str]) -> Wish | Refusal:
    """The caller's wish; a header that means nothing is refused, because it would be taken for obeyed."""
    if _NAMES.isdisjoint(headers):
        return NO_WISH
    said = tuple([(name, headers[name]) for name in _ORDER if name in headers])
    short = max([len(value) for _, value in said]) <= MAX_NAME
    return _kept(said) if short else _read(dict(said))


@lru_cache(maxsize=1_000)
def _kept(said: tuple[tuple[str, str], ...]) -> Wish | Refusal:
    """A caller wishes the same again and again."""
    return _read(dict(said))


def _read(headers: Mapping[str, str]) -> Wish | Refusal:
    control = {word.strip().lower() for word in headers.get(CONTROL, "").split(",")}
    ttl = _ttl(headers.get(TTL))
    threshold = _threshold(headers.get(THRESHOLD))
    layer = headers.get(TYPE)
    tags = tuple(tag.strip() for tag in headers.get(TAGS, "").split(",") if tag.strip())
    named = headers.get(KEY) or None
    if ttl == "bad":
        return _bad(TTL, "seconds, or a duration such as 30s, 5m, 1h", headers[TTL])
    if threshold == "bad":
        return _bad(THRESHOLD, "a number from 0 to 1", headers[THRESHOLD])
    if layer is not None and layer not in _TYPES:
        return _bad(TYPE, "direct or semantic", layer)
    if len(tags) > MOST_TAGS or any(len(tag) > MAX_NAME for tag in tags):
        return _bad(TAGS, f"at most {MOST_TAGS} tags of at most {MAX_NAME} characters", headers[TAGS])
    if named is not None and len(named) > MAX_NAME:
        return _bad(KEY, f"at most {MAX_NAME} characters", named)
    silent = "no-store" in control
    return Wish(
        cache_key=named,
        ttl_s=ttl if isinstance(ttl, int) else None,
        threshold=threshold if isinstance(threshold, float) else None,
        layer=_TYPES.get(layer) if layer is not None else None,
        read=not silent and "no-cache" not in control,
        store=not silent and headers.get(NO_STORE, "").lower() != "true",
        tags=tags,
    )


def said_before(plan: Plan) -> str:
    """The header's value for a call that travels."""
    return str(plan) if isinstance(plan, Bypass) else "miss"


def said_of(row: LedgerRow) -> str:
    """The header's value for a call that the cache answered, from its row."""
    layer, _, similarity = (row.cache or "miss").partition(":")
    if layer == "coalesced":
        return SHARED
    return f"{layer}; similarity={similarity}" if similarity else layer


def _ttl(text: str | None) -> int | str | None:
    if text is None:
        return None
    match = _DURATION.fullmatch(text.strip())
    seconds = int(match[1]) * _UNITS[match[2]] if match is not None else 0
    return seconds if 0 < seconds <= MAX_TTL_S else "bad"


def _threshold(text: str | None) -> float | str | None:
    if text is None:
        return None
    value = float(text) if _NUMBER.fullmatch(text.strip()) else 2.0
    return value if value <= 1 else "bad"


def _bad(name: str, wanted: str, given: str) -> Refusal:
    return Refusal(
        kind="request",
        code="invalid_cache_header",
        message=f"The header {name} takes {wanted}, not {given[:60]!r}.",
        details={"header": name},
    )
