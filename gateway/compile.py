"""Turns configured providers and servers into the objects that the other rooms are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

from gateway.cloud_credentials import credentials_of
from gateway.config.hub import McpServer
from gateway.config.models import Config
from gateway.config.providers import ModelPrice
from gateway.config.providers import Provider as ProviderEntry
from gateway.tiers import tier_of
from mcp_hub.upstream.specs import HttpSpec, MemberSpec, StdioSpec, Terms
from policies.egress import Timeouts
from policies.grants import Grant, by_precision
from policies.pricing import FREE, Price, Rates, per_call, per_million
from providers.addresses import Address, AzureAddress, OwnAddress, VertexAddress
from providers.breaker import BreakerRules
from providers.canonical.names import NINE
from providers.itinerary import RetryRules
from providers.presets import PRESETS, Preset
from providers.registry import DEFAULT_BASE_URLS, Provider, UpstreamKey
from providers.services import ProviderKind
from providers.translation.base import CHAT_IDS, Traits

KINDS: Mapping[str, ProviderKind] = {
    "openai": "openai",
    "anthropic": "anthropic",
    "gemini": "gemini",
    "azure": "openai",
    "vertex": "gemini",
    "bedrock": "converse",
    **{name: preset.kind for name, preset in PRESETS.items()},
}
DEFAULT_EXPECTED_OUTPUT = 4_096


def providers_of(config: Config) -> list[Provider]:
    """The model providers. Raises ``StateError`` where a cloud's own library is not installed."""
    disabled = config.disabled_providers
    return [_provider(entry, KINDS[entry.type], disabled.get(entry.name), config) for entry in config.providers]


def _provider(entry: ProviderEntry, kind: ProviderKind, disabled: str | None, config: Config) -> Provider:
    timeouts = entry.timeouts
    preset = PRESETS.get(entry.type)
    return Provider(
        name=entry.name,
        kind=kind,
        base_url=_base_url(entry, kind),
        address=_address(entry),
        credentials=credentials_of(entry),
        responses=_speaks_responses(entry, preset),
        traits=_traits(entry, preset),
        unsupported=entry.unsupported,
        stream_usage=preset is None or preset.stream_usage,
        models=Grant.of(entry.allowed_models),
        keys=_upstream_keys(entry),
        auth=entry.auth,
        weight=entry.weight,
        prices={name: price_of(price) for name, price in _overrides(entry).items()},
        free=entry.prices == "free",
        tiers=(tier_of("provider", entry.name, entry, config.budgets.enforcement),),
        disabled=disabled,
        timeouts=Timeouts(timeouts.connect, timeouts.head, timeouts.idle),
        aliases=entry.aliases,
        retries=RetryRules(entry.retries.again, entry.retries.first_pause, entry.retries.longest_pause),
        breaker=BreakerRules(entry.breaker.failures, entry.breaker.open_seconds),
    )


def _base_url(entry: ProviderEntry, kind: ProviderKind) -> str:
    preset = PRESETS.get(entry.type)
    if entry.base_url is not None:
        found = entry.base_url
    elif entry.type == "vertex":
        # https://cloud.google.com/vertex-ai/generative-ai/docs/learn/locations
        where = "" if entry.region == "global" else f"{entry.region}-"
        found = f"https://{where}aiplatform.googleapis.com"
    else:
        found = preset.base_url if preset else DEFAULT_BASE_URLS[kind].format(region=entry.region)
    return found.rstrip("/")


def _speaks_responses(entry: ProviderEntry, preset: Preset | None) -> bool:
    if entry.responses is not None:
        return entry.responses
    return preset.responses if preset is not None else entry.type in ("openai", "azure")


def _address(entry: ProviderEntry) -> Address:
    if entry.type == "azure":
        return AzureAddress(entry.api_version)
    if entry.type == "vertex":
        return VertexAddress(entry.project or "", entry.region or "")
    return OwnAddress()


def _traits(entry: ProviderEntry, preset: Preset | None) -> Traits:
    """OpenAI itself, whose newer models refuse ``max_tokens``, takes the newer field; what is only compatible with it
    mostly knows the older one, and often takes a system message at the beginning only."""
    newer = entry.type == "azure" or (entry.type == "openai" and entry.base_url is None)
    if preset is not None:
        return Traits(
            token_limit=entry.token_limit or preset.token_limit,
            reasoning_back=preset.reasoning_back,
            cache_marks=preset.cache_marks,
            call_ids=NINE if preset.nine_letter_ids else CHAT_IDS,
        )
    return Traits(
        token_limit=entry.token_limit or ("max_completion_tokens" if newer else "max_tokens"), system_anywhere=newer
    )


def _upstream_keys(entry: ProviderEntry) -> tuple[UpstreamKey, ...]:
    """Its one key, or the several that it has."""
    if entry.api_keys:
        return tuple(
            UpstreamKey(
                key.key.get_secret_value(),
                key.name,
                key.weight,
                None if key.allowed_models is None else Grant.of(key.allowed_models),
            )
            for key in entry.api_keys
        )
    return (UpstreamKey(entry.api_key.get_secret_value() if entry.api_key is not None else ""),)


def fallbacks_of(config: Config) -> list[tuple[Grant, tuple[str, ...]]]:
    """Models to go on with, by pattern, the most specific first."""
    return [(Grant.of([pattern]), config.fallbacks[pattern]) for pattern in by_precision([*config.fallbacks])]


def _overrides(entry: ProviderEntry) -> Mapping[str, ModelPrice]:
    return entry.prices if isinstance(entry.prices, dict) else {}


def price_of(price: ModelPrice, source: str = "configured") -> Price:
    """A price in the core's exact form."""

    def rate(dollars: Decimal | None) -> int:
        return per_million(price.input_per_million if dollars is None else dollars)

    rates = Rates(
        input=per_million(price.input_per_million),
        output=per_million(price.output_per_million),
        cache_read=rate(price.cache_read_per_million),
        cache_write=rate(price.cache_write_per_million),
        cache_write_1h=rate(price.cache_write_1h_per_million or price.cache_write_per_million),
        input_audio=_optional(price.input_audio_per_million),
        output_audio=_optional(price.output_audio_per_million),
    )
    return Price(((0, rates),), source=source)


def _optional(dollars: Decimal | None) -> int | None:
    return None if dollars is None else per_million(dollars)


def expected_output_of(config: Config) -> Callable[[str], int]:
    """Output tokens to expect of a model, by the most specific pattern."""
    configured = config.budgets.expected_output_tokens
    if isinstance(configured, int):
        return lambda _: configured
    listed = sorted(configured.items(), key=lambda entry: (entry[0] != "*", len(entry[0])), reverse=True)
    ordered = [(Grant.of([pattern]), tokens) for pattern, tokens in listed]

    def expected(model: str) -> int:
        return next((tokens for grant, tokens in ordered if grant.allows(model)), DEFAULT_EXPECTED_OUTPUT)

    return expected


def members_of(config: Config) -> list[MemberSpec]:
    """The MCP servers that are enabled, in configured order."""
    return [_member(name, entry) for name, entry in config.mcp_servers.items() if entry.enabled]


def _member(name: str, entry: McpServer) -> MemberSpec:
    terms = Terms(
        isolation=entry.isolation or "auto",
        timeout_s=entry.timeout,
        tool_timeouts=tuple((Grant.of([pattern]), seconds) for pattern, seconds in entry.tool_timeouts.items()),
        era=entry.era,
        interactive=entry.interactive,
        roots=entry.url is not None if entry.roots is None else entry.roots,
        prefix=entry.prefix,
        aliases=entry.aliases,
    )
    if entry.url is not None:
        headers = {n: v.get_secret_value() for n, v in entry.headers.items()}
        lowered = {n.lower(): v for n, v in headers.items()}
        return HttpSpec(name, entry.url, lowered, terms, sse=entry.transport == "sse")
    env = {n: v.get_secret_value() for n, v in entry.env.items()}
    return StdioSpec(name, entry.command or "", entry.args, env, entry.cwd, terms)


def tool_prices_of(config: Config) -> Callable[[str, str], Price]:
    """The price of a tool: the most specific pattern that matches ``server/tool``; free without one."""
    listed = [(Grant.of([pattern]), len(pattern), per_call(price)) for pattern, price in config.tool_prices.items()]
    ordered: Sequence[tuple[Grant, int, Price]] = sorted(listed, key=lambda entry: -entry[1])
    known: dict[tuple[str, str], Price] = {}

    def price(server: str, tool: str) -> Price:
        found = known.get((server, tool))
        if found is None:
            full = f"{server}/{tool}"
            found = next((price for grant, _, price in ordered if grant.allows(full)), FREE)
            known[server, tool] = found
        return found

    return price
