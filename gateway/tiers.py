"""Compiles what the configuration says of payers into the core's tiers, grants and keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from gateway.cache_policy import rule_of
from gateway.config.identity import Customer, KeyProvider, Team
from gateway.config.identity import VirtualKey as KeyEntry
from gateway.config.limits import Granted, Limited, RateLimit
from gateway.config.limits import RunLimits as RunEntry
from gateway.config.models import Config
from gateway.config.values import Duration
from policies.admission import Grants
from policies.caching.rules import NO_RULE
from policies.grants import GrantSet
from policies.identity import VirtualKey
from policies.run_limits import NO_LIMITS, RunLimits
from policies.tiers import Budget, Enforcement, Rate, Tier, TierId, TierKind, Window
from policies.types import Principal

NANO = 1_000_000_000


def nano(dollars: Decimal) -> int:
    """Nano-dollars; the configuration admits no finer amount."""
    return int(dollars * NANO)


def window(duration: Duration) -> Window:
    return Window(duration.count, duration.unit)


@dataclass(frozen=True)
class Organisation:
    """Customers and teams of one configuration, with their tiers; the default enforcement of all."""

    customers: Mapping[str, Customer]
    teams: Mapping[str, Team]
    tiers: Mapping[TierId, Tier]
    enforcement: Enforcement
    free_calls: Rate
    """Of every key."""

    @classmethod
    def of(cls, config: Config) -> Organisation:
        default = config.budgets.enforcement
        tiers: dict[TierId, Tier] = {}
        for customer in config.customers:
            tiers[TierId("customer", customer.name)] = tier_of("customer", customer.name, customer, default)
        for team in config.teams:
            tiers[TierId("team", team.name)] = tier_of("team", team.name, team, default)
        return cls(
            {c.name: c for c in config.customers},
            {t.name: t for t in config.teams},
            tiers,
            default,
            Rate("free_calls", config.limits.free_calls_per_minute, Window(1, "m")),
        )

    def key_tier(self, tier: Tier) -> Tier:
        """A key's own tier, with the limit that every key has."""
        return replace(tier, rates=(*tier.rates, self.free_calls))

    def payers(self, team: str | None, customer: str | None) -> tuple[str | None, tuple[Tier, ...]]:
        """The customer who pays for a key, and the tiers above the key."""
        if team is not None and team in self.teams:
            customer = self.teams[team].customer or customer
        names: tuple[tuple[TierKind, str | None], ...] = (("team", team), ("customer", customer))
        above = tuple(self._tier(kind, name) for kind, name in names if name is not None)
        return customer, above

    def _tier(self, kind: TierKind, name: str) -> Tier:
        """A payer that was taken out of the file still has its name on the books."""
        return self.tiers.get(TierId(kind, name)) or Tier(TierId(kind, name))


def tier_of(kind: TierKind, name: str, limited: Limited, default: Enforcement) -> Tier:
    """The tier of one configured payer."""
    budgets = [Budget(nano(b.budget_limit), window(b.budget_duration)) for b in limited.budgets]
    if limited.budget_limit is not None and limited.budget_duration is not None:
        budgets.insert(0, Budget(nano(limited.budget_limit), window(limited.budget_duration)))
    rates = limited.rate_limit
    return Tier(
        TierId(kind, name),
        budgets=tuple(budgets),
        rates=rates_of(rates) if rates is not None else (),
        parallel=rates.parallel_limit if rates is not None else None,
        enforcement=limited.enforcement or default,
    )


def rates_of(limit: RateLimit) -> tuple[Rate, ...]:
    """Request and token limits of one payer."""
    found: list[Rate] = []
    if limit.request_limit is not None and limit.request_limit_duration is not None:
        found.append(Rate("requests", limit.request_limit, window(limit.request_limit_duration)))
    if limit.token_limit is not None and limit.token_limit_duration is not None:
        found.append(Rate("tokens", limit.token_limit, window(limit.token_limit_duration)))
    return tuple(found)


def run_limits_of(entry: RunEntry | None) -> RunLimits:
    """Limits of each run, as a key or a team declares them."""
    if entry is None:
        return NO_LIMITS
    return RunLimits(
        None if entry.budget_limit is None else nano(entry.budget_limit),
        entry.tool_calls,
        entry.model_calls,
        None if entry.duration is None else _SECONDS[entry.duration.unit] * entry.duration.count * NANO,
    )


_SECONDS = {"m": 60, "h": 3_600, "d": 86_400, "w": 604_800, "M": 2_592_000, "Y": 31_536_000}
"""Of a run's duration; a month counts as 30 days, a year as 365."""

Listed = Sequence[str] | None


@dataclass(frozen=True, slots=True)
class GrantLists:
    """A key's own lists, whoever declared it."""

    models: Listed = None
    tools: Listed = None
    resources: Listed = None
    prompts: Listed = None

    @classmethod
    def of(cls, granted: Granted) -> GrantLists:
        return cls(granted.allowed_models, granted.allowed_tools, granted.allowed_resources, granted.allowed_prompts)


def compile_grants(
    own: GrantLists, team: Team | None, customer: Customer | None, providers: Sequence[KeyProvider] | None = None
) -> Grants:
    """Intersect a key's lists with its team's and its customer's (``policies.grants``)."""
    of_team = GrantLists.of(team) if team is not None else GrantLists()
    of_customer = GrantLists.of(customer) if customer is not None else GrantLists()
    has_team = team is not None

    def intersect(key: Listed, team_list: Listed, customer_list: Listed) -> GrantSet:
        return GrantSet.of_tiers(key, team_list, customer_list, has_team=has_team)

    def optional(key: Listed, team_list: Listed, customer_list: Listed) -> GrantSet | None:
        if key is None and team_list is None and customer_list is None:
            return None
        return intersect(key, team_list, customer_list)

    return Grants(
        models=intersect(own.models, of_team.models, of_customer.models),
        tools=intersect(own.tools, of_team.tools, of_customer.tools),
        resources=optional(own.resources, of_team.resources, of_customer.resources),
        prompts=optional(own.prompts, of_team.prompts, of_customer.prompts),
        providers=_provider_grants(providers),
    )


def _provider_grants(providers: Sequence[KeyProvider] | None) -> dict[str, GrantSet] | None:
    if providers is None:
        return None
    lists = {entry.name: ("*",) if entry.allowed_models is None else entry.allowed_models for entry in providers}
    return {name: GrantSet.of_tiers(models, None, None, has_team=False) for name, models in lists.items()}


def compile_key(entry: KeyEntry, organisation: Organisation) -> VirtualKey:
    """A key that the configuration file declares."""
    team = organisation.teams.get(entry.team) if entry.team else None
    customer_name, above = organisation.payers(entry.team, entry.customer)
    customer = organisation.customers.get(customer_name) if customer_name else None
    own = organisation.key_tier(tier_of("key", entry.key_name, entry, organisation.enforcement))
    providers = entry.providers or ()
    return VirtualKey(
        principal=Principal(entry.key_name, entry.team, customer_name),
        grants=compile_grants(GrantLists.of(entry), team, customer, entry.providers),
        tiers=(own, *above),
        provider_tiers={
            p.name: tier_of("key_provider", f"{entry.key_name}/{p.name}", p, organisation.enforcement)
            for p in providers
        },
        run_limits=run_limits_of(entry.run_limits).narrowed(run_limits_of(team.run_limits if team else None)),
        provider_weights={p.name: p.weight for p in providers if p.weight is not None},
        cache=rule_of(entry.cache) if entry.cache is not None else NO_RULE,
        expires_ns=int(entry.expires_at.timestamp() * NANO) if entry.expires_at else None,
    )
