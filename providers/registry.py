"""Configured model providers, prepared: where they are, who may pay, what they serve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from policies.egress import Timeouts
from policies.grants import Grant
from policies.pricing import Price
from policies.tiers import Tier
from providers.breaker import BreakerRules
from providers.itinerary import RetryRules

ProviderKind = Literal["openai", "anthropic", "gemini"]
"""The wire family: which dialects it speaks without translation."""

DEFAULT_BASE_URLS: Mapping[ProviderKind, str] = {
    "openai": "https://api.openai.com/v1",
    "anthropic": "https://api.anthropic.com",
    "gemini": "https://generativelanguage.googleapis.com",
}
"""As the vendor's own SDK takes it: OpenAI's includes ``/v1``, the others' do not."""


@dataclass(frozen=True, slots=True)
class UpstreamKey:
    """One of the gate's own keys at a provider."""

    secret: str = field(default="", repr=False)
    name: str = ""
    """Empty where the provider has only one."""
    weight: float = 1.0
    models: Grant | None = None
    """Models that it may be used for; ``None``: all of the provider."""


_NO_KEY = UpstreamKey()


@dataclass(frozen=True)
class Provider:
    """One entry of ``providers:``."""

    name: str
    kind: ProviderKind
    base_url: str
    models: Grant
    keys: tuple[UpstreamKey, ...] = (_NO_KEY,)
    stream_usage: bool = True
    """It may be asked for the usage of a stream."""
    auth: Literal["key", "passthrough"] = "key"
    """``passthrough``: the caller's own credential goes upstream instead of ours."""
    weight: float = 1.0
    prices: Mapping[str, Price] = field(default_factory=dict)
    """Overrides by model name or pattern."""
    free: bool = False
    tiers: tuple[Tier, ...] = ()
    disabled: str | None = None
    """Why it cannot be used, e.g. ``OPENAI_API_KEY is not set``."""
    timeouts: Timeouts = field(default_factory=Timeouts)
    aliases: Mapping[str, str] = field(default_factory=dict)
    """The vendor's name of a model by the name under which it is offered."""
    retries: RetryRules = field(default_factory=RetryRules)
    breaker: BreakerRules = field(default_factory=BreakerRules)
    auth_headers: Mapping[str, Sequence[tuple[str, str]]] = field(init=False, repr=False)
    """By the key's name."""

    def __post_init__(self) -> None:
        headers = {key.name: _auth_headers(self.kind, key.secret) for key in self.keys}
        object.__setattr__(self, "auth_headers", headers)


def _auth_headers(kind: ProviderKind, api_key: str) -> tuple[tuple[str, str], ...]:
    if not api_key:
        return ()
    if kind == "anthropic":
        return (("x-api-key", api_key),)
    if kind == "gemini":
        return (("x-goog-api-key", api_key),)
    return (("authorization", f"Bearer {api_key}"),)
