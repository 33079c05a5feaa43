"""Model providers: where they are, what they serve, what they cost."""

from __future__ import annotations

import difflib
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Discriminator, Field, StringConstraints, Tag, WithJsonSchema, model_validator

from gateway.config.limits import Limited
from gateway.config.values import Dollars, HeaderSecret, Name, Pattern, Seconds, Section, Url
from providers.presets import PRESETS

NATIVE_TYPES = ("openai", "anthropic", "gemini", "vertex", "bedrock", "azure")
PROVIDER_TYPES = (*NATIVE_TYPES, *PRESETS)


def _check_type(value: str) -> str:
    if value not in PROVIDER_TYPES:
        near = difflib.get_close_matches(value, PROVIDER_TYPES, n=1)
        hint = f"did you mean {near[0]}?" if near else "any OpenAI-compatible endpoint is openai with a base_url"
        raise ValueError(f"is no known provider type ({hint})")
    return value


ProviderType = Annotated[
    str, AfterValidator(_check_type), WithJsonSchema({"type": "string", "enum": list(PROVIDER_TYPES)})
]


Region = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9:._-]{0,99}$")]
"""A region or project: it becomes a part of an address."""


class ModelPrice(Section):
    """Price of one model, in dollars per million tokens. It takes the place of the catalogue's."""

    input_per_million: Dollars = Field(description="Dollars per million input tokens that were not cached.")
    output_per_million: Dollars = Field(description="Dollars per million output tokens, reasoning included.")
    cache_read_per_million: Dollars | None = Field(
        default=None, description="Dollars per million input tokens read from the vendor's cache. Absent: as input."
    )
    cache_write_per_million: Dollars | None = Field(
        default=None, description="Dollars per million input tokens written to the vendor's cache. Absent: as input."
    )
    cache_write_1h_per_million: Dollars | None = Field(
        default=None, description="Dollars per million input tokens written for an hour. Absent: as the other writes."
    )
    input_audio_per_million: Dollars | None = Field(
        default=None, description="Dollars per million audio tokens of the input. Absent: as input."
    )
    output_audio_per_million: Dollars | None = Field(
        default=None, description="Dollars per million audio tokens of the output. Absent: as output."
    )


def _price_form(value: object) -> str:
    return "free" if isinstance(value, str) else "models"


Prices = Annotated[
    Annotated[Literal["free"], Tag("free")] | Annotated[dict[Pattern, ModelPrice], Tag("models")],
    Discriminator(_price_form),
]


class ProviderTimeouts(Section):
    """How long to wait for a provider."""

    connect: Seconds = Field(default=5.0, description="Seconds to connect, TLS included.")
    head: Seconds = Field(default=600.0, description="Seconds from the request sent to the head of the answer.")
    idle: Seconds = Field(default=300.0, description="Seconds between two pieces of the answer.")


class UpstreamKey(Section):
    """One of several keys at a provider. Calls are shared among them; a rate limit at one goes on to the next."""

    name: Name = Field(description="Unique within the provider: what the ledger calls it.")
    key: HeaderSecret = Field(description="The vendor's key.")
    weight: float = Field(default=1.0, gt=0, le=1_000_000, description="Share of the provider's calls (no unit).")
    allowed_models: tuple[Pattern, ...] | None = Field(
        default=None, description="Models that it is used for, as patterns. Absent: all of the provider."
    )


class Retries(Section):
    """How often a target is tried again when it fails and no other one can help."""

    again: int = Field(
        default=0,
        ge=0,
        le=10,
        description="Times that one target is tried again for one call. Other keys, providers and fallbacks are tried "
        "in any case; vendors' SDKs retry by themselves.",
    )
    first_pause: Seconds = Field(default=0.5, description="Seconds before the first retry; doubled each time.")
    longest_pause: Seconds = Field(default=5.0, description="Seconds that a pause grows to.")


class Breaker(Section):
    """When a target is asked last, because it failed so often in a row."""

    failures: int = Field(default=5, ge=1, le=1_000, description="Failures in a row that open it.")
    open_seconds: Seconds = Field(
        default=30.0, description="Seconds until one call may probe the target; doubled when the probe fails."
    )


class AwsCredentials(Section):
    """Who signs calls of Bedrock. All absent: AWS's own chain (environment, profile, role of the machine)."""

    access_key_id: str | None = Field(default=None, description="With `secret_access_key`: a key of an IAM user.")
    secret_access_key: HeaderSecret | None = Field(default=None, description="Belongs to `access_key_id`.")
    session_token: HeaderSecret | None = Field(default=None, description="Of temporary keys.")
    profile: str | None = Field(default=None, description="Profile of AWS's own configuration files.")
    role_arn: str | None = Field(default=None, description="Role to assume with these credentials.")
    external_id: str | None = Field(default=None, description="What the role's trust policy asks for.")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise ValueError("access_key_id and secret_access_key belong together")
        return self


class GoogleCredentials(Section):
    """Who calls Vertex AI. Absent: application default credentials."""

    credentials_file: str | None = Field(default=None, description="Path of a service account's JSON key.")


class EntraCredentials(Section):
    """Who calls Azure without an API key. All absent: Azure's default chain (environment, managed identity, CLI)."""

    tenant_id: str | None = Field(default=None, description="Directory of the application.")
    client_id: str | None = Field(default=None, description="Application, or user-assigned managed identity.")
    client_secret: HeaderSecret | None = Field(default=None, description="Of the application.")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.client_secret is not None and (self.tenant_id is None or self.client_id is None):
            raise ValueError("client_secret needs tenant_id and client_id")
        return self


class Provider(Limited):
    """One upstream that answers model calls. Its limits are the fourth tier: they hold for all callers together."""

    name: Name = Field(description="Unique name. A model can be asked for literally as `name/model`.")
    type: ProviderType = Field(
        description="The vendor's API: `openai`, `anthropic`, `gemini`, `azure`, `vertex`, `bedrock`, or a vendor of "
        "docs/providers.md. Absent: as `name`, if that is one. Any OpenAI-compatible endpoint is `openai` with a "
        "`base_url`."
    )
    api_key: HeaderSecret | None = Field(
        default=None,
        description="The vendor's key. When `${VAR:-}` leaves it empty the provider is disabled, and a call that needs "
        "it says which variable is missing.",
    )
    api_keys: tuple[UpstreamKey, ...] = Field(
        default=(), description="Instead of `api_key`: several keys, each with a name and a weight."
    )
    base_url: Url | None = Field(
        default=None,
        description="Address as the vendor's own SDK takes it (for `openai` with `/v1`). Absent: the vendor's.",
    )
    api_version: str | None = Field(
        default=None,
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(-preview)?$",
        description="For `azure`: the dated API, whose addresses name deployments. Absent: the v1 API.",
    )
    region: Region | None = Field(
        default=None, description="For `bedrock` and `vertex`: where the models run (`eu-central-1`, `global`)."
    )
    project: Region | None = Field(default=None, description="For `vertex`: the Google Cloud project.")
    aws: AwsCredentials | None = Field(
        default=None, description="For `bedrock`: who signs. Absent, and without `api_key`: AWS's own chain."
    )
    google: GoogleCredentials = Field(default=GoogleCredentials(), description="For `vertex`: who calls.")
    entra: EntraCredentials | None = Field(
        default=None, description="For `azure`, instead of `api_key`: an Entra identity. `{}`: Azure's default chain."
    )
    responses: bool | None = Field(
        default=None,
        description="Whether an OpenAI-compatible provider has the responses API. `false`: calls of that surface are "
        "told to it as chat completions. Absent: as docs/providers.md says of its type.",
    )
    token_limit: Literal["max_tokens", "max_completion_tokens"] | None = Field(
        default=None,
        description="The field in which an OpenAI-compatible provider takes the bound of a translated call's answer. "
        "Absent: as docs/providers.md says of its type.",
    )
    auth: Literal["key", "passthrough"] = Field(
        default="key",
        description="`key`: calls carry `api_key`. `passthrough`: the caller's own Authorization goes upstream, and "
        "the virtual key comes in `x-bf-vk`.",
    )
    allowed_models: tuple[Pattern, ...] = Field(
        default=("*",),
        description="Models that it serves, as patterns. The most specific match wins; a provider that matches only by "
        "`*` serves a name when no other does.",
    )
    aliases: dict[str, str] = Field(
        default={},
        description="The vendor's name of a model by the name under which it is offered: `{fast: gpt-4o-mini}`. The "
        "offered name must be among `allowed_models`.",
    )
    retries: Retries = Field(default=Retries(), description="How often it is tried again.")
    breaker: Breaker = Field(default=Breaker(), description="When it is asked last.")
    weight: float = Field(
        default=1.0, gt=0, le=1_000_000, description="Share of calls among equally matching providers (no unit)."
    )
    prices: Prices | None = Field(
        default=None, description="`free`, or prices by model name or pattern. Absent: the price catalogue."
    )
    timeouts: ProviderTimeouts = Field(default=ProviderTimeouts(), description="How long to wait for it.")
    unsupported: Literal["refuse", "drop"] = Field(
        default="refuse",
        description="What to do when a call of another dialect asks for what this provider's API cannot express and "
        "the answer would be another: refuse it, naming the fields, or leave them out and name them in the header "
        "`x-tollkeeper-dropped`. What changes nothing of the answer is always left out and named.",
    )

    @model_validator(mode="after")
    def _place(self) -> Self:
        if self.type == "bedrock" and self.region is None and self.base_url is None:
            raise ValueError("a provider of type bedrock needs a region")
        if self.type == "vertex" and (self.region is None or self.project is None):
            raise ValueError("a provider of type vertex needs a project and a region")
        return self

    @model_validator(mode="before")
    @classmethod
    def _type_from_name(cls, data: Any) -> Any:
        if isinstance(data, dict) and "type" not in data and data.get("name") in PROVIDER_TYPES:
            return {**data, "type": data["name"]}
        return data
