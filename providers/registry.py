"""Configured model providers, prepared: where they are, who may pay, what they serve."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from policies.egress import Timeouts
from policies.grants import Grant
from policies.pricing import Price
from policies.tiers import Tier

ProviderKind = Literal["openai", "anthropic"]
"""The wire family: which dialects it speaks without translation."""

DEFAULT_BASE_URLS: Mapping[ProviderKind, str] = {
    "openai": "https://api.openai.com/v1",
    "anthropic": "https://api.anthropic.com",
}
"""As the vendor's own SDK takes it: OpenAI's includes ``/v1``, Anthropic's does not."""


@dataclass(frozen=True)
class Provider:
    """One entry of ``providers:``."""

    name: str
    kind: ProviderKind
    base_url: str
    models: Grant
    api_key: str = field(default="", repr=False)
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
    auth_headers: tuple[tuple[str, str], ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "auth_headers", _auth_headers(self.kind, self.api_key))


def _auth_headers(kind: ProviderKind, api_key: str) -> tuple[tuple[str, str], ...]:
    if not api_key:
        return ()
    if kind == "anthropic":
        return (("x-api-key", api_key),)
    return (("authorization", f"Bearer {api_key}"),)
