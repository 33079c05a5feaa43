"""How well an embedder and the guards tell same from different, on pairs of texts that a person has judged."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import msgspec

from policies.caching.facts import facts_of
from policies.caching.stores import Embedder, Vector
from policies.identity import VirtualKey
from policies.types import CallContext

THRESHOLDS = (0.70, 0.75, 0.80, 0.85, 0.88, 0.90, 0.92, 0.94, 0.96, 0.98)


class Pair(msgspec.Struct, frozen=True):
    """Two texts, whether one's answer serves the other, and what makes the pair hard."""

    a: str
    b: str
    same: bool
    kind: str = ""


class Judged(msgspec.Struct, frozen=True):
    """A pair with its cosine, and whether the guards let it through."""

    pair: Pair
    similarity: float
    guards_agree: bool

    def reused(self, threshold: float, *, guarded: bool) -> bool:
        return self.similarity >= threshold and (self.guards_agree or not guarded)


class Score(msgspec.Struct, frozen=True):
    """At one threshold. ``precision``: of what is reused, the share that may be (``None``: nothing is reused);
    ``recall``: of what may be reused, the share that is (``None``: nothing may be)."""

    threshold: float
    precision: float | None
    recall: float | None
    wrong: int


async def judge(
    pair: Pair, embedder: Embedder, guards: frozenset[str], key: VirtualKey, context: CallContext
) -> Judged | str:
    """A pair's likeness as the cache sees it, or why it cannot be told."""
    one = await embedder.embed(key, context, f"user: {pair.a}")
    two = await embedder.embed(key, context, f"user: {pair.b}")
    if isinstance(one, str) or isinstance(two, str):
        return one if isinstance(one, str) else str(two)
    return Judged(pair, cosine(one, two), facts_of(f"user: {pair.a}", guards) == facts_of(f"user: {pair.b}", guards))


def scores(judged: Sequence[Judged], *, guarded: bool, thresholds: Iterable[float] = THRESHOLDS) -> list[Score]:
    """Precision and recall by threshold."""
    found: list[Score] = []
    same = sum(one.pair.same for one in judged)
    for threshold in thresholds:
        reused = [one for one in judged if one.reused(threshold, guarded=guarded)]
        right = sum(one.pair.same for one in reused)
        precision = right / len(reused) if reused else None
        found.append(Score(threshold, precision, right / same if same else None, len(reused) - right))
    return found


def cosine(one: Vector, two: Vector) -> float:
    """-1 to 1."""
    dot = sum(x * y for x, y in zip(one, two, strict=True))
    length = math.sqrt(sum(x * x for x in one) * sum(y * y for y in two))
    return dot / length if length else 0.0
