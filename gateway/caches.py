"""Opens the cache that the configuration names. What is not configured is not loaded: the embedded vectors bring
numpy, the other stores their clients."""

from __future__ import annotations

import importlib
from collections.abc import Callable

from gateway.cache_policy import answers_url, cache_policy_of, cache_wanted
from gateway.config.caching import SemanticCache
from gateway.config.models import Config
from gateway.embedding import RouteEmbedder
from gateway.state import StateDir, StateError
from policies.caching.cache import Cache
from policies.caching.local_answers import Bounds, LocalAnswers
from policies.caching.semantic import Semantic
from policies.caching.stores import AnswerStore, Embedder, VectorStore
from policies.stores.answer_file import SqliteAnswers
from providers.executor import ModelExecutor

Clock = Callable[[], int]


def open_cache(config: Config, state: StateDir, embedder: Embedder | None, clock: Clock) -> Cache | None:
    """``None`` when nothing can be kept. Raises ``StateError``."""
    if not cache_wanted(config):
        return None
    semantic = config.semantic_cache
    layer = None
    if embedder is not None and semantic.embedding is not None:
        layer = Semantic(embedder, _vectors(semantic, semantic.embedding.dimensions, config, state))
    entry_bytes = config.cache.max_entry_bytes
    return Cache(cache_policy_of(config), _answers(config, state, clock), layer, clock, entry_bytes)


def embedder_of(config: Config, executor: ModelExecutor, clock: Clock) -> Embedder | None:
    """Where embeddings come from, if the semantic layer works. Raises ``StateError``."""
    embedding = config.semantic_cache.embedding if config.semantic_cache.enabled else None
    if embedding is None:
        return None
    if embedding.model_path is not None:
        try:
            module = importlib.import_module("gateway.local_embedding")
            local: Embedder = module.LocalEmbedder.load(embedding.model_path, embedding.dimensions)
        except ImportError as error:
            raise StateError(
                f"semantic_cache.embedding.model_path needs the extra packages: pip install "
                f"'tollkeeper[local-embeddings]' ({error})."
            ) from None
        return local
    if embedding.provider is None or embedding.model is None:
        raise StateError("semantic_cache.embedding needs provider and model, or model_path.")
    return RouteEmbedder(embedding.provider, embedding.model, embedding.dimensions, executor, clock)


def _answers(config: Config, state: StateDir, clock: Clock) -> AnswerStore:
    cache, url = config.cache, answers_url(config)
    if url not in ("sqlite", "memory"):
        module = importlib.import_module("policies.stores.redis_answers")
        shared: AnswerStore = module.RedisAnswers(url, cache.max_entry_bytes, clock)
        return shared
    bounds = Bounds(cache.memory_bytes, cache.max_entry_bytes, cache.max_entries)
    file = SqliteAnswers(state.root / "answers.db", cache.file_bytes, cache.max_entries) if url == "sqlite" else None
    return LocalAnswers(file, bounds, clock)


def _vectors(semantic: SemanticCache, dimensions: int, config: Config, state: StateDir) -> VectorStore:
    store: VectorStore
    if semantic.vector_store == "qdrant" and semantic.qdrant_url is None:
        path = state.root / "vectors.db" if answers_url(config) == "sqlite" else None
        embedded = importlib.import_module("policies.stores.embedded_vectors")
        store = embedded.EmbeddedVectors(path, dimensions, semantic.max_vectors)
        return store
    if semantic.vector_store == "qdrant":
        secret = semantic.qdrant_api_key
        module = importlib.import_module("policies.stores.qdrant")
        store = module.QdrantVectors(semantic.qdrant_url, secret.get_secret_value() if secret else None, dimensions)
    elif semantic.vector_store == "redis":
        store = importlib.import_module("policies.stores.redis_vectors").RedisVectors(semantic.redis_url, dimensions)
    else:
        secret = semantic.weaviate_api_key
        module = importlib.import_module("policies.stores.weaviate")
        store = module.WeaviateVectors(semantic.weaviate_url, secret.get_secret_value() if secret else None, dimensions)
    return store
