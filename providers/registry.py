"""Configured model providers, prepared: where they are, who may pay, what they serve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from policies.egress import Timeouts
from policies.grants import Grant
from policies.pricing import Price
from policies.tiers import Tier
from providers.addresses import Address, AzureAddress, OwnAddress, VertexAddress
from providers.breaker import BreakerRules
from providers.credentials.base import Credentials
from providers.itinerary import RetryRules
from providers.services import SERVED_BY, ProviderKind, Service
from providers.translation.base import DEFAULT_TRAITS, Traits

DEFAULT_BASE_URLS: Mapping[ProviderKind, str] = {
    "openai": "https://api.openai.com/v1",
    "anthropic": "https://api.anthropic.com",
    "gemini": "https://generativelanguage.googleapis.com",
    "converse": "https://bedrock-runtime.{region}.amazonaws.com",
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
_OWN_ADDRESS = OwnAddress()


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
    responses: bool = True
    """It speaks OpenAI's responses API itself; else calls of that surface are told as chat completions."""
    traits: Traits = DEFAULT_TRAITS
    unsupported: Literal["refuse", "drop"] = "refuse"
    """What becomes of a demand that its dialect cannot express (``providers.canonical.losses``)."""
    address: Address = _OWN_ADDRESS
    credentials: Credentials | None = field(default=None, repr=False)
    """Signs or authenticates each request, where a key alone does not."""
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
    _hosts_others: bool = field(init=False, repr=False)
    """Models of other vendors too, in their own dialects."""

    def __post_init__(self) -> None:
        azure = isinstance(self.address, AzureAddress)
        headers = {key.name: _auth_headers(self.kind, key.secret, azure=azure) for key in self.keys}
        object.__setattr__(self, "auth_headers", headers)
        object.__setattr__(self, "_hosts_others", isinstance(self.address, VertexAddress))

    def kind_of(self, model: str) -> ProviderKind:
        """The dialect in which it serves ``model``: Vertex AI speaks to Claude in Anthropic's."""
        if self._hosts_others:
            return "anthropic" if model.startswith("claude") else "gemini"
        return self.kind

    def speaks(self, service: Service, model: str) -> bool:
        """It answers ``service`` in its own dialect, so that bodies pass as they are."""
        kind = self.kind_of(model) if self._hosts_others else self.kind
        return service.startswith(kind) and (self.responses or service != "openai/responses")

    def serves(self, service: Service, model: str) -> bool:
        """It answers ``service``, be it translated. A caller's own credential is of one vendor, so it goes to no
        other's dialect."""
        if self.auth == "passthrough":
            return self.speaks(service, model)
        return self.kind_of(model) in SERVED_BY[service]


def _auth_headers(kind: ProviderKind, api_key: str, *, azure: bool) -> tuple[tuple[str, str], ...]:
    if not api_key:
        return ()
    if azure:
        return (("api-key", api_key),)
    if kind == "anthropic":
        return (("x-api-key", api_key),)
    if kind == "gemini":
        return (("x-goog-api-key", api_key),)
    # OpenAI, and Bedrock's API keys (https://docs.aws.amazon.com/bedrock/latest/userguide/api-keys-use.html).
    return (("authorization", f"Bearer {api_key}"),)
