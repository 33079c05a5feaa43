"""The caches: exact, semantic, tool results."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field, SecretStr

from gateway.config.values import Name, Pattern, Section, Url
from policies.caching.facts import GUARDS, Guard

MEBIBYTE = 1024 * 1024
Ttl = Annotated[int, Field(gt=0, le=31_536_000)]


class CacheRule(Section):
    """An exception from the cache's rules, for some models or one key."""

    enabled: bool | None = Field(default=None, description="On or off. Absent: as `cache.enabled` says.")
    ttl_seconds: Ttl | None = Field(
        default=None, description="Seconds that an answer is kept. Absent: as `cache.ttl_seconds` says."
    )


class Cache(Section):
    """The exact layer: an identical request of the same partition gets the earlier answer."""

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
    ttl_seconds: Ttl = Field(default=300, description="Seconds that an answer is kept.")
    tool_answers: bool = Field(
        default=False,
        description="Whether answers that call tools are kept too. Given again, they ask for the same tool calls, "
        "under new ids.",
    )
    models: dict[Pattern, CacheRule] = Field(default={}, description="Exceptions by model pattern.")
    max_entry_bytes: int = Field(
        default=MEBIBYTE, ge=1024, le=64 * MEBIBYTE, description="Bytes of an answer; a longer one is not kept."
    )
    memory_bytes: int = Field(
        default=32 * MEBIBYTE,
        ge=1024,
        le=64 * 1024 * MEBIBYTE,
        description="Bytes of answers in this process; beyond it the ones used longest ago go.",
    )
    max_entries: int = Field(
        default=20_000, ge=1, le=10_000_000, description="Answers in all; beyond it the oldest go."
    )
    file_bytes: int = Field(
        default=512 * MEBIBYTE,
        ge=1024,
        le=1024 * 1024 * MEBIBYTE,
        description="Bytes of answers in the file behind the process; beyond it the oldest go.",
    )


class ToolCache(Section):
    """Results of the tools that a pattern names may be kept. What declares that it changes something never is."""

    ttl: Ttl = Field(description="Seconds that a result is kept; a server's own `ttlMs` shortens it.")


class Embedding(Section):
    """Where embeddings come from: a configured provider, itself governed and on the ledger, or a local model."""

    provider: Name | None = Field(default=None, description="A provider from `providers`.")
    model: str | None = Field(default=None, min_length=1, description="The embedding model's name there.")
    model_path: str | None = Field(
        default=None,
        min_length=1,
        description="Instead of a provider: a folder with `model.onnx` (or `onnx/model.onnx`) and `tokenizer.json`, "
        "as sentence-transformers publishes them. Needs `pip install tollkeeper[local-embeddings]`.",
    )
    dimensions: int = Field(gt=0, le=65_536, description="Length of its vectors (numbers).")


def _check_guards(value: tuple[str, ...]) -> tuple[str, ...]:
    unknown = [guard for guard in value if guard not in get_args(Guard)]
    if unknown:
        raise ValueError(f"must be of: {', '.join(get_args(Guard))}")
    return value


Guards = Annotated[tuple[str, ...], AfterValidator(_check_guards)]


class SemanticCache(Section):
    """The semantic layer: a request that means the same as an earlier one gets its answer."""

    enabled: bool = Field(default=False, description="Whether the semantic layer works. It needs `embedding`.")
    vector_store: Literal["qdrant", "redis", "weaviate"] = Field(
        default="qdrant",
        description="Where vectors are kept. `qdrant` without `qdrant_url`: embedded in this process.",
    )
    qdrant_url: Url | None = Field(default=None, description="Address of a Qdrant server. Absent: embedded.")
    qdrant_api_key: SecretStr | None = Field(default=None, description="Its API key.")
    redis_url: str | None = Field(
        default=None,
        pattern="^rediss?://",
        description="Redis with vector sets (8.0 and later), or with its search module.",
    )
    weaviate_url: Url | None = Field(default=None, description="Address of Weaviate, for `vector_store: weaviate`.")
    weaviate_api_key: SecretStr | None = Field(default=None, description="Its API key.")
    similarity_threshold: float = Field(
        default=0.92, ge=0, le=1, description="Least cosine similarity, 0 to 1, at which an answer is used again."
    )
    conversation_history_threshold: int = Field(
        default=3,
        ge=1,
        le=10_000,
        description="Conversations of more messages than this (the system's not counted) are not looked up.",
    )
    max_text_chars: int = Field(
        default=2_000,
        ge=1,
        le=100_000,
        description="Characters of a conversation's text; longer ones are not looked up, because one sentence more or "
        "less hardly moves their vector.",
    )
    system_prompt: Literal["exact", "embed", "ignore"] = Field(
        default="exact",
        description="The system prompt must be equal, is embedded with the conversation, or does not count.",
    )
    guards: Guards = Field(
        default=tuple(guard for guard in get_args(Guard) if guard in GUARDS),
        description="Facts that must be equal in both texts before their likeness counts: `numbers`, `negation`, "
        "`names`, `code`, `order`, `language`; `words` (all content words) leaves little more than rephrased small "
        "words.",
    )
    max_vectors: int = Field(
        default=20_000, ge=1, le=10_000_000, description="Vectors of the embedded store; beyond it the oldest go."
    )
    ttl_seconds: Ttl = Field(
        default=86_400,
        description="Seconds that an answer is kept. Where `cache.ttl_seconds` is given too, that one counts.",
    )
    embedding: Embedding | None = Field(
        default=None, description="Where embeddings come from. Absent: the exact layer works alone."
    )


ToolCaches = dict[Pattern, ToolCache]
