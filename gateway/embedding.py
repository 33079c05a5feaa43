"""Vectors for the semantic cache from a configured provider: a model call like any other.

It passes the passage: the caller pays, the operator's choice of the model admits, the row has ``origin: embedding``
and the call that it was made for as its parent. It takes part in no cache.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable

import msgspec

from gateway.child_calls import ChildKeys, outcome_of
from policies.caching.stores import Vector
from policies.identity import VirtualKey
from policies.ids import new_call_id
from policies.passage import Passage
from policies.trip import Terms
from policies.types import CallContext, ModelCall, Refusal
from providers.dialects.openai_embeddings import OpenAIEmbeddings
from providers.executor import ModelExecutor
from providers.replies import HttpReply

DEADLINE_S = 10.0
"""A call must not wait longer for a cache."""


class _Item(msgspec.Struct):
    embedding: list[float]


class _Embeddings(msgspec.Struct):
    data: list[_Item]


_decode = msgspec.json.Decoder(_Embeddings).decode
_DIALECT = OpenAIEmbeddings()


class RouteEmbedder:
    """``policies.caching.stores.Embedder`` over a model route. ``passage`` is set when it is there: the passage
    itself asks for embeddings."""

    def __init__(
        self, provider: str, model: str, dimensions: int, executor: ModelExecutor, clock: Callable[[], int]
    ) -> None:
        self.passage: Passage | None = None
        self._model = f"{provider}/{model}"
        self._dimensions = dimensions
        self._keys = ChildKeys(model)
        self._executor = executor
        self._clock = clock

    async def embed(self, key: VirtualKey, parent: CallContext, text: str) -> Vector | str:
        if self.passage is None:
            raise RuntimeError("the embedder was asked before it was composed")
        request = _DIALECT.parse(msgspec.json.encode({"model": self._model, "input": text}))
        now = self._clock()
        context = msgspec.structs.replace(
            parent, call_id=new_call_id(now), started_ns=now, parent=parent.call_id, origin="embedding"
        )
        call = ModelCall(context=context, operation=_DIALECT.operation, model=request.model)
        dispatch = self._executor.dispatch(_DIALECT, request, {}, "")
        entered = await self.passage.enter(self._keys.of(key), call, dispatch, Terms("cancel", DEADLINE_S))
        if isinstance(entered, Refusal):
            return f"{self._model}: {entered.message}"
        outcome = await outcome_of(entered)
        if outcome.kind != "ok" or not isinstance(outcome.reply, HttpReply):
            return f"{self._model} gave no embedding: {outcome.message}"
        return self._read(outcome.reply.body)

    def _read(self, body: bytes) -> Vector | str:
        try:
            vector = array("f", _decode(body).data[0].embedding)
        except (msgspec.MsgspecError, IndexError, OverflowError):
            return f"{self._model} answered with something that is not an embedding"
        if len(vector) != self._dimensions:
            return (
                f"{self._model} gives vectors of {len(vector)} numbers, not {self._dimensions}: "
                "correct semantic_cache.embedding.dimensions"
            )
        return vector
