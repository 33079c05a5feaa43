"""Turns the configured caches into the policy that the core decides by."""

from __future__ import annotations

from gateway.config.caching import CacheRule, Embedding
from gateway.config.models import Config
from policies.caching.policy import CachePolicy, SemanticRules
from policies.caching.rules import Rule
from policies.grants import Grant, by_precision


def cache_policy_of(config: Config) -> CachePolicy:
    """The semantic layer needs the exact one, which it brings along."""
    cache, semantic = config.cache, config.semantic_cache
    own_ttl = cache.enabled and "ttl_seconds" in cache.model_fields_set
    embedding = semantic.embedding if semantic.enabled else None
    return CachePolicy(
        enabled=cache.enabled or semantic.enabled,
        always=cache.participation == "always",
        default_cache_key=cache.default_cache_key,
        scope=cache.cache_scope,
        ttl_s=semantic.ttl_seconds if semantic.enabled and not own_ttl else cache.ttl_seconds,
        tool_answers=cache.tool_answers,
        models=tuple(
            (Grant.of([pattern]), rule_of(cache.models[pattern])) for pattern in by_precision([*cache.models])
        ),
        tools=tuple(
            (Grant.of([pattern]), config.tool_cache[pattern].ttl) for pattern in by_precision([*config.tool_cache])
        ),
        semantic=None
        if embedding is None
        else SemanticRules(
            threshold=semantic.similarity_threshold,
            most_messages=semantic.conversation_history_threshold,
            embedding=embedding_name(embedding),
            guards=frozenset(semantic.guards),
            most_chars=semantic.max_text_chars,
            system_prompt=semantic.system_prompt,
        ),
    )


def cache_wanted(config: Config) -> bool:
    """Whether anything can be kept at all."""
    policy = cache_policy_of(config)
    exceptions = [*config.cache.models.values(), *(key.cache for key in config.virtual_keys if key.cache is not None)]
    return policy.keeps_results or any(rule.enabled for rule in exceptions)


def embedding_name(embedding: Embedding) -> str:
    """Names an embedding model: vectors of another one are never compared."""
    source = embedding.model_path or f"{embedding.provider}/{embedding.model}"
    return f"{source} {embedding.dimensions}"


def rule_of(rule: CacheRule) -> Rule:
    """A configured exception in the core's form."""
    return Rule(rule.enabled, rule.ttl_seconds)


def answers_url(config: Config) -> str:
    """Where answers are kept: ``sqlite``, ``memory`` or a Redis address."""
    shared = config.stores.counters
    return config.stores.cache or (shared if shared != "memory" else "sqlite")
