"""The caches: exact, semantic, tool results."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gateway.config.values import Name, Pattern, Section, Url


class Cache(Section):
    """The exact layer: an identical request of the same partition is answered from memory."""

    enabled: bool = Field(default=False, description="Whether the exact layer works.")
    participation: Literal["header", "always"] = Field(
        default="header",
        description="`header`: a request takes part when it carries `x-bf-cache-key`. `always`: each does.",
    )
    default_cache_key: str | None = Field(
        default=None, min_length=1, description="Cache key of requests that carry none. Absent: they do not take part."
    )
    cache_scope: Literal["key", "team", "customer"] = Field(
        default="key", description="Who shares cached answers: one virtual key, its team, its customer."
    )
    ttl_seconds: int = Field(default=300, gt=0, le=31_536_000, description="Seconds that an answer is kept.")


class ToolCache(Section):
    """Results of the tools that a pattern names may be kept."""

    ttl: int = Field(gt=0, le=31_536_000, description="Seconds that a result is kept.")


class Embedding(Section):
    """Where embeddings come from: a configured provider, itself governed and on the ledger."""

    provider: Name = Field(description="A provider from `providers`.")
    model: str = Field(min_length=1, description="The embedding model's name there.")
    dimensions: int = Field(gt=0, le=65_536, description="Length of its vectors (numbers).")


class SemanticCache(Section):
    """The semantic layer: a request that means the same as an earlier one gets its answer."""

    enabled: bool = Field(default=False, description="Whether the semantic layer works. It needs `embedding`.")
    vector_store: Literal["qdrant", "redis", "weaviate"] = Field(
        default="qdrant", description="Where vectors are kept; `qdrant` is embedded."
    )
    weaviate_url: Url | None = Field(default=None, description="Address of Weaviate, for `vector_store: weaviate`.")
    similarity_threshold: float = Field(
        default=0.92, ge=0, le=1, description="Least cosine similarity, 0 to 1, at which an answer is used again."
    )
    conversation_history_threshold: int = Field(
        default=3, ge=1, le=10_000, description="Conversations of more messages than this are not looked up."
    )
    ttl_seconds: int = Field(default=86_400, gt=0, le=31_536_000, description="Seconds that an answer is kept.")
    embedding: Embedding | None = Field(
        default=None, description="Where embeddings come from. Absent: the exact layer works alone."
    )


ToolCaches = dict[Pattern, ToolCache]
