"""What the operator allows: whether a call takes part, with whom it shares, how long answers are kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from policies.caching.facts import facts_of
from policies.caching.keys import CacheScope, digest, entry_id, partition_of
from policies.caching.rules import NO_RULE, Rule
from policies.caching.vocabulary import (
    OFF,
    Answerable,
    Asked,
    Bypass,
    Plan,
    Query,
    SemanticQuery,
    Wish,
)
from policies.grants import Grant
from policies.identity import VirtualKey

SystemPrompt = Literal["exact", "embed", "ignore"]


Describe = Callable[[], Answerable | Bypass]


@dataclass(frozen=True, slots=True)
class SemanticRules:
    """When the semantic layer is asked."""

    threshold: float
    most_messages: int
    embedding: str
    """Names the embedding model and its dimensions: vectors of another one are never compared."""
    guards: frozenset[str]
    most_chars: int = 2_000
    """Longer texts are not looked up: one sentence more or less in them hardly moves their vector."""
    system_prompt: SystemPrompt = "exact"
    """Must be equal, is embedded with the rest, or does not count."""


@dataclass(frozen=True, slots=True)
class CachePolicy:
    """Compiled from the configuration; replaced whole on reload."""

    enabled: bool = False
    always: bool = False
    default_cache_key: str | None = None
    scope: CacheScope = "key"
    ttl_s: int = 300
    tool_answers: bool = False
    models: tuple[tuple[Grant, Rule], ...] = ()
    """By pattern, the most specific first."""
    tools: tuple[tuple[Grant, int], ...] = ()
    """Tools whose results may be kept, with seconds, the most specific first."""
    semantic: SemanticRules | None = None

    @property
    def keeps_results(self) -> bool:
        """Results of tools or resources are kept."""
        return self.enabled or bool(self.tools)

    def plan(self, key: VirtualKey, asked: Asked, describe: Describe, wish: Wish, now_ns: int) -> Plan:
        """Whether and how the call of ``key`` takes part. ``describe`` reads the request: only when it may."""
        ttl_s = self._ttl_s(key, asked, wish)
        if isinstance(ttl_s, Bypass):
            return ttl_s
        if not wish.read and not wish.store:
            return Bypass("no_store")
        described = describe()
        return described if isinstance(described, Bypass) else self._query(key, asked, described, wish, ttl_s, now_ns)

    def _ttl_s(self, key: VirtualKey, asked: Asked, wish: Wish) -> int | Bypass | None:
        """How long answers are kept; ``None``: as long as they say themselves."""
        if asked.kind == "model":
            ttl_s = self._model_ttl_s(key, asked.subject, wish)
            return ttl_s if isinstance(ttl_s, Bypass) or wish.ttl_s is None else wish.ttl_s
        if asked.kind == "tool":
            listed = next((seconds for grant, seconds in self.tools if grant.allows(asked.subject)), None)
            if listed is None:
                return Bypass("tool_not_listed") if self.tools else OFF
            # A caller shortens what the operator allows of a tool, and does not lengthen it.
            return listed if wish.ttl_s is None else min(wish.ttl_s, listed)
        return None if asked.kind == "resource" and self.enabled else OFF

    def _model_ttl_s(self, key: VirtualKey, model: str, wish: Wish) -> int | Bypass:
        own = key.cache
        by_model = NO_RULE
        for grant, rule in self.models:
            if grant.allows(model):
                by_model = rule
                break
        if own.enabled is False:
            return Bypass("key_off")
        if by_model.enabled is False:
            return Bypass("model_off")
        if not (self.enabled or own.enabled or by_model.enabled):
            return OFF
        if wish.cache_key is None and self.default_cache_key is None and not self.always:
            return Bypass("no_cache_key")
        if own.ttl_s is not None:
            return own.ttl_s
        return self.ttl_s if by_model.ttl_s is None else by_model.ttl_s

    def _query(
        self, key: VirtualKey, asked: Asked, described: Answerable, wish: Wish, ttl_s: int | None, now_ns: int
    ) -> Query:
        named = self.default_cache_key if wish.cache_key is None else wish.cache_key
        partition = partition_of(key.principal, self.scope, named)
        own = entry_id(partition, asked.kind, asked.subject, described.fields)
        return Query(
            id=own,
            flight=None if described.alone else own + described.form.encode(),
            kind=asked.kind,
            subject=asked.subject,
            partition=partition,
            key=key.principal.key,
            cache_key=named,
            tags=wish.tags,
            fields=described.fields,
            ttl_s=ttl_s,
            read=wish.read and wish.layer != "semantic",
            store=wish.store,
            tool_answers=self.tool_answers or asked.kind != "model",
            semantic=self._semantic(partition, asked.subject, described, wish),
            asked_ns=now_ns,
        )

    def _semantic(self, partition: str, subject: str, asked: Answerable, wish: Wish) -> SemanticQuery | None:
        rules = self.semantic
        if rules is None or wish.layer == "exact" or not wish.read:
            return None
        conversation = asked.conversation()
        if conversation is None or conversation.messages > rules.most_messages or not conversation.text.strip():
            return None
        embeds = rules.system_prompt == "embed" and conversation.system
        text = f"system: {conversation.system}\n{conversation.text}" if embeds else conversation.text
        if len(text) > rules.most_chars:
            return None
        system = conversation.system if rules.system_prompt == "exact" else ""
        parts = (partition, rules.embedding, subject, system)
        return SemanticQuery(
            bucket=digest((*(part.encode() for part in parts), conversation.rest, facts_of(text, rules.guards))),
            text=text,
            threshold=rules.threshold if wish.threshold is None else wish.threshold,
        )
