"""Who pays: customers, teams, virtual keys."""

from __future__ import annotations

from pydantic import AwareDatetime, Field

from gateway.config.caching import CacheRule
from gateway.config.limits import Granted, Limited, RunLimits
from gateway.config.values import KeySecret, Name, Pattern


class Customer(Limited, Granted):
    """An organisation that pays for teams and keys. The topmost tier."""

    name: Name = Field(description="Unique name: letters, digits, `.`, `_`, `-`; at most 100 characters.")


class Team(Limited, Granted):
    """A group of keys that shares grants and budgets."""

    name: Name = Field(description="Unique name: letters, digits, `.`, `_`, `-`; at most 100 characters.")
    customer: Name | None = Field(default=None, description="The customer that it belongs to, from `customers`.")
    run_limits: RunLimits | None = Field(default=None, description="Limits of each run of the team's keys.")


class KeyProvider(Limited):
    """How one virtual key uses one provider: a tier of its own."""

    name: Name = Field(description="A provider from `providers`.")
    allowed_models: tuple[Pattern, ...] | None = Field(
        default=None, description="Models that this key may use there, as patterns. Absent: all that the key may use."
    )
    weight: float | None = Field(
        default=None,
        gt=0,
        le=1_000_000,
        description="Share of this key's calls among equally matching providers. Absent: the provider's own weight.",
    )


class VirtualKey(Limited, Granted):
    """A credential that the file declares. It is read-only at run time; keys made by the API live in the database."""

    key_name: Name = Field(description="Unique name: what the ledger and every message call it.")
    key: KeySecret | None = Field(
        default=None,
        description="The secret that callers send, or `sha256:` and the 64 hexadecimal digits of its SHA-256. It "
        "should have at least 128 random bits (`openssl rand -hex 16`). Absent: nobody can call with this key.",
    )
    team: Name | None = Field(default=None, description="The team that it belongs to, from `teams`.")
    customer: Name | None = Field(default=None, description="The customer who pays, for a key without a team.")
    providers: tuple[KeyProvider, ...] | None = Field(
        default=None, description="The providers this key may use, each with its own limits. Absent: any provider."
    )
    run_limits: RunLimits | None = Field(default=None, description="Limits of each run of this key.")
    cache: CacheRule | None = Field(default=None, description="How this key uses the cache of model answers.")
    expires_at: AwareDatetime | None = Field(
        default=None, description="From this moment the key is refused: ISO 8601 with a zone, `2027-01-01T00:00:00Z`."
    )
