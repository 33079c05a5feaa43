"""Configured model providers, prepared: where they are, who may pay, what they serve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import quote

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


@dataclass(frozen=True, slots=True)
class Azure:
    """How Azure's OpenAI service is addressed. Without ``api_version``: its v1 API, whose paths are OpenAI's; with one:
    the older API, whose paths name the deployment
    (https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle, …/openai/reference)."""

    api_version: str | None = None


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
    azure: Azure | None = None
    """It is Azure's OpenAI service."""
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
        azure = self.azure is not None
        headers = {key.name: _auth_headers(self.kind, key.secret, azure=azure) for key in self.keys}
        object.__setattr__(self, "auth_headers", headers)

    def address(self, path: str, model: str, query: str) -> str:
        """Where a request goes. ``path`` is the dialect's, ``model`` the vendor's name or the deployment's."""
        parts = [query] if query else []
        if self.azure is None:
            url = f"{self.base_url}{path}"
        elif self.azure.api_version is None:
            url = f"{self.base_url}/openai/v1{path}"
        else:
            url = f"{self.base_url}/openai/deployments/{quote(model, safe='')}{path}"
            parts.append(f"api-version={self.azure.api_version}")
        return f"{url}?{'&'.join(parts)}" if parts else url


def _auth_headers(kind: ProviderKind, api_key: str, *, azure: bool) -> tuple[tuple[str, str], ...]:
    if not api_key:
        return ()
    if azure:
        return (("api-key", api_key),)
    if kind == "anthropic":
        return (("x-api-key", api_key),)
    if kind == "gemini":
        return (("x-goog-api-key", api_key),)
    return (("authorization", f"Bearer {api_key}"),)
