"""What ``/api/cache`` tells: why a call hit or missed, or would, and how well the embedder judges."""

from __future__ import annotations

import time
from typing import Any, Literal

import msgspec
from pydantic import BaseModel, Field

from gateway.admin.errors import AdminError
from gateway.admin.parts import CacheParts
from gateway.surfaces.cache_wishes import wish_of
from policies.caching.evaluation import Judged, Pair, judge, scores
from policies.caching.explaining import near_misses
from policies.caching.stores import CacheUnavailable
from policies.caching.vocabulary import Asked, Bypass, Entry, Query
from policies.identity import VirtualKey
from policies.ids import new_call_id
from policies.ledger_queries import LedgerFilter
from policies.look_up import LookUp
from policies.refusals import dollars_plain, instant
from policies.strict_json import BodyError
from policies.types import CallContext, Refusal


class Question(BaseModel):
    """A request, as a client would send it, to be explained and not made."""

    key: str
    operation: Literal["chat", "responses", "messages", "embeddings"] = "chat"
    body: dict[str, Any]
    headers: dict[str, str] = {}


class EvaluationPair(BaseModel):
    """Two texts, and whether one's answer serves the other."""

    a: str = Field(min_length=1, max_length=100_000)
    b: str = Field(min_length=1, max_length=100_000)
    same: bool
    kind: str = ""


class Evaluation(BaseModel):
    """Pairs of texts that a person has judged; ``key`` pays for their embeddings."""

    key: str
    pairs: list[EvaluationPair] = Field(min_length=1, max_length=1_000)


def cache_of(parts: CacheParts) -> LookUp:
    """The cache. Raises ``AdminError`` where there is none."""
    if parts.look_up is None:
        raise AdminError(409, "cache_off", "No cache is configured: set cache.enabled, semantic_cache or tool_cache.")
    return parts.look_up


async def explain_request(parts: CacheParts, question: Question) -> dict[str, Any]:
    """What the exact layer would say of a request, and which kept answers come near. Raises ``AdminError``."""
    cache = cache_of(parts).cache
    key = _key(parts, question.key)
    headers = {name.lower(): value for name, value in question.headers.items()}
    wish = wish_of(headers)
    if isinstance(wish, Refusal):
        raise AdminError(400, wish.code, wish.message)
    dialect = parts.dialects[question.operation]
    try:
        request = dialect.parse(msgspec.json.encode(question.body))
    except BodyError as error:
        raise AdminError(400, error.code, error.message) from None
    dispatch = parts.executor.dispatch(dialect, request, headers, "")
    plan = cache.plan(key, Asked("model", request.model), lambda: dispatch.answerable(key), wish)
    if isinstance(plan, Bypass):
        return {"takes_part": False, "reason": plan.reason}
    found = await cache.answers.get(plan.id)
    return {
        "takes_part": True,
        "id": plan.id.hex(),
        "partition": plan.partition,
        "semantic": plan.semantic is not None,
        "found": None if found is None else entry_line(found),
        "near_misses": [] if found is not None else await _near(parts, plan),
    }


async def explain_call(parts: CacheParts, call_id: str) -> dict[str, Any]:
    """What the cache said of a call that was made, and what is kept under its id now. Raises ``AdminError``."""
    wanted = LedgerFilter(call_id=call_id)
    page = await parts.ledger.ask(lambda store: store.page(wanted, None, 1, newest_first=False))
    if not page.rows:
        raise AdminError(404, "unknown_call", f"The ledger has no call {call_id!r}.")
    row = page.rows[0]
    entry = None
    if row.cache_id is not None and parts.look_up is not None:
        entry = await parts.look_up.cache.answers.get(bytes.fromhex(row.cache_id))
    return {
        "call_id": call_id,
        "target": row.target,
        "key": row.key,
        "outcome": row.outcome,
        "cache": row.cache,
        "saved": dollars_plain(row.saved_nano),
        "entry": None if entry is None else entry_line(entry),
    }


async def evaluate(parts: CacheParts, asked: Evaluation) -> dict[str, Any]:
    """Every pair's likeness, and precision and recall by threshold. Raises ``AdminError``."""
    cache = cache_of(parts).cache
    rules, semantic = cache.policy.semantic, cache.semantic
    if rules is None or semantic is None:
        raise AdminError(409, "semantic_cache_off", "The semantic cache has no embedding: there is nothing to judge.")
    key = _key(parts, asked.key)
    now = time.time_ns()
    context = CallContext(call_id=new_call_id(now), started_ns=now, surface="admin")
    judged: list[Judged] = []
    for given in asked.pairs:
        pair = Pair(given.a, given.b, given.same, given.kind)
        one = await judge(pair, semantic.embedder, rules.guards, key, context)
        if isinstance(one, str):
            raise AdminError(502, "embedding_failed", one)
        judged.append(one)
    lines = [
        {"similarity": round(one.similarity, 4), "guards_agree": one.guards_agree, **msgspec.to_builtins(one.pair)}
        for one in judged
    ]
    return {
        "threshold": rules.threshold,
        "guards": sorted(rules.guards),
        "pairs": lines,
        "guarded": msgspec.to_builtins(scores(judged, guarded=True)),
        "unguarded": msgspec.to_builtins(scores(judged, guarded=False)),
    }


def entry_line(entry: Entry) -> dict[str, Any]:
    """An entry without its contents."""
    return {
        "id": entry.id.hex(),
        "kind": entry.kind,
        "subject": entry.subject,
        "partition": entry.partition,
        "key": entry.key,
        "tags": list(entry.tags),
        "created_at": instant(entry.created_ns),
        "expires_at": instant(entry.expires_ns),
        "form": entry.form,
        "saves": dollars_plain(entry.cost_nano),
    }


async def _near(parts: CacheParts, query: Query) -> list[dict[str, Any]]:
    try:
        misses = await near_misses(query, cache_of(parts).cache.answers.entries())
    except CacheUnavailable as error:
        raise AdminError(503, "cache_unavailable", str(error)) from None
    return [{**entry_line(miss.entry), "differs": list(miss.differs)} for miss in misses]


def _key(parts: CacheParts, name: str) -> VirtualKey:
    key = parts.keyring.find(name)
    if key is None:
        raise AdminError(404, "unknown_key", f"There is no virtual key named {name!r}.")
    return key
