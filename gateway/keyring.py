"""All virtual keys of a running gateway: those of the configuration file and those of the database.

One owner per object (law 9): a key of the file cannot be changed here, a key of the database is not in
the file. A change acts on the next call, because the directory is changed before the answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from gateway.cache_policy import rule_of
from gateway.config.caching import CacheRule
from gateway.config.models import Config
from gateway.config.values import Duration
from gateway.tiers import GrantLists, Organisation, compile_grants, compile_key, nano, run_limits_of, window
from policies.caching.rules import NO_RULE, Rule
from policies.identity import Directory, VirtualKey
from policies.key_hashing import KeyHasher, hint_of, new_secret
from policies.keys import KeyStore, NameTaken, StoredKey
from policies.refusals import instant
from policies.tiers import Budget, Rate, Tier, TierId, Window
from policies.types import Json, Principal

_CACHE = "cache"
"""The cache's rule stands beside the limits of a stored key."""


class KeyringError(Exception):
    """A key operation that cannot be done. ``status`` is the HTTP status that fits."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A key to make. Durations are text (``1d``); absent grants are the team's."""

    name: str
    team: str | None = None
    customer: str | None = None
    allowed_models: list[str] | None = None
    allowed_tools: list[str] | None = None
    allowed_resources: list[str] | None = None
    allowed_prompts: list[str] | None = None
    budget_limit: Decimal | None = None
    budget_duration: str | None = None
    request_limit: int | None = None
    request_limit_duration: str | None = None
    token_limit: int | None = None
    token_limit_duration: str | None = None
    cache_enabled: bool | None = None
    cache_ttl_seconds: int | None = None
    expires_ns: int | None = None

    def grants(self) -> dict[str, list[str] | None]:
        return {
            "models": self.allowed_models,
            "tools": self.allowed_tools,
            "resources": self.allowed_resources,
            "prompts": self.allowed_prompts,
        }

    def limits(self) -> dict[str, Json]:
        """The limits as they are stored. Raises ``KeyringError`` for a limit without its window."""
        pairs = (
            ("budget", None if self.budget_limit is None else nano(self.budget_limit), self.budget_duration),
            ("request", self.request_limit, self.request_limit_duration),
            ("token", self.token_limit, self.token_limit_duration),
        )
        found: dict[str, Json] = {}
        for name, limit, duration in pairs:
            if (limit is None) != (duration is None):
                raise KeyringError(400, "invalid_request", f"A {name} limit and its duration belong together.")
            if limit is not None and duration is not None:
                found[name] = {"limit": limit, "window": str(_duration(duration))}
        if self.cache_enabled is not None or self.cache_ttl_seconds is not None:
            found[_CACHE] = {"enabled": self.cache_enabled, "ttl_seconds": self.cache_ttl_seconds}
        return found


class Keyring:
    """Joins both kinds of keys into the directory."""

    def __init__(self, store: KeyStore, hasher: KeyHasher, directory: Directory, clock: Callable[[], int]) -> None:
        self._store = store
        self._hasher = hasher
        self._directory = directory
        self._clock = clock
        self._organisation = Organisation({}, {}, {}, "expected", Rate("free_calls", 0, Window(1, "m")))
        self._file: list[tuple[bytes, VirtualKey]] = []
        self._stored: list[StoredKey] = []

    def load(self, config: Config) -> None:
        """Take the file's keys anew, and the database's as they are. Blocking: at start and on reload."""
        self._organisation = Organisation.of(config)
        self._file = list(self._file_keys(config))
        self._stored = self._store.all()
        self._publish()

    def find(self, name: str) -> VirtualKey | None:
        """A key by name, for ``explain``; the live one if there are several."""
        found = [key for key in self._directory.all() if key.principal.key == name]
        return next((key for key in reversed(found) if not key.revoked), found[-1] if found else None)

    def tiers(self) -> Iterator[Tier]:
        """Every tier that any key pays from."""
        yield from self._organisation.tiers.values()
        for key in self._directory.all():
            yield key.tiers[0]
            yield from key.provider_tiers.values()

    async def create(self, wanted: NewKey) -> dict[str, Any]:
        """Make a key; the answer is the only place where its secret appears."""
        if wanted.team is not None and wanted.team not in self._organisation.teams:
            raise KeyringError(400, "unknown_team", f"There is no team {wanted.team!r}.")
        if wanted.customer is not None and wanted.customer not in self._organisation.customers:
            raise KeyringError(400, "unknown_customer", f"There is no customer {wanted.customer!r}.")
        if any(key.principal.key == wanted.name for _, key in self._file):
            raise KeyringError(409, "name_taken", f"The configuration file declares a key {wanted.name!r}.")
        secret = new_secret()
        stored = StoredKey(
            name=wanted.name,
            scheme="hmac-sha256",
            digest=self._hasher.peppered(secret),
            hint=hint_of(secret),
            team=wanted.team,
            customer=wanted.customer,
            grants=wanted.grants(),
            limits=wanted.limits(),
            created_ns=self._clock(),
            expires_ns=wanted.expires_ns,
        )
        try:
            await asyncio.to_thread(self._store.add, stored)
        except NameTaken as error:
            raise KeyringError(409, "name_taken", str(error)) from None
        await self.refresh()
        return {**_describe(stored), "key": secret}

    async def revoke(self, name: str) -> dict[str, Any]:
        """End every secret of a key, at once."""
        self._own(name)
        count = await asyncio.to_thread(self._store.revoke, name, self._clock())
        await self.refresh()
        return {"name": name, "revoked": count}

    async def rotate(self, name: str, grace_ns: int) -> dict[str, Any]:
        """Give a key a new secret; the old one ends after ``grace_ns``."""
        old = self._own(name)
        now = self._clock()
        secret = new_secret()
        new = StoredKey(
            name=name,
            scheme="hmac-sha256",
            digest=self._hasher.peppered(secret),
            hint=hint_of(secret),
            team=old.team,
            customer=old.customer,
            grants=old.grants,
            limits=old.limits,
            created_ns=now,
            expires_ns=old.expires_ns,
        )
        await asyncio.to_thread(self._store.rotate, name, now + grace_ns, new)
        await self.refresh()
        return {**_describe(new), "key": secret, "old_expires_at": instant(now + grace_ns)}

    async def listing(self) -> list[dict[str, Any]]:
        """All keys, without secrets."""
        declared = [
            {
                "name": key.principal.key,
                "source": "file",
                "team": key.principal.team,
                "customer": key.principal.customer,
                "expires_at": instant(key.expires_ns) if key.expires_ns else None,
                "state": "active",
            }
            for _, key in self._file
        ]
        now = self._clock()
        return declared + [{**_describe(key), "state": _state(key, now)} for key in self._stored]

    def _own(self, name: str) -> StoredKey:
        """The newest live row of ``name``. Raises ``KeyringError``."""
        live = [key for key in self._stored if key.name == name and key.revoked_ns is None]
        if live:
            return live[-1]
        if any(key.principal.key == name for _, key in self._file):
            raise KeyringError(
                409, "owned_by_file", f"The key {name!r} is declared in the configuration file: change it there."
            )
        raise KeyringError(404, "unknown_key", f"There is no virtual key named {name!r}.")

    async def refresh(self) -> None:
        self._stored = await asyncio.to_thread(self._store.all)
        self._publish()

    def _publish(self) -> None:
        self._directory.replace([*self._file, *((key.digest, self._compile(key)) for key in self._stored)])

    def _file_keys(self, config: Config) -> Iterable[tuple[bytes, VirtualKey]]:
        for entry in config.virtual_keys:
            if entry.key is None:
                continue
            secret = entry.key.get_secret_value()
            hashed = secret.removeprefix("sha256:")
            digest = bytes.fromhex(hashed) if hashed != secret else self._hasher.peppered(secret)
            yield digest, compile_key(entry, self._organisation)

    def _compile(self, key: StoredKey) -> VirtualKey:
        organisation = self._organisation
        team = organisation.teams.get(key.team) if key.team else None
        customer_name, above = organisation.payers(key.team, key.customer)
        customer = organisation.customers.get(customer_name) if customer_name else None
        return VirtualKey(
            principal=Principal(key.name, key.team, customer_name),
            grants=compile_grants(GrantLists(**key.grants), team, customer),
            tiers=(_stored_tier(key, organisation), *above),
            run_limits=run_limits_of(team.run_limits if team else None),
            cache=_stored_rule(key),
            expires_ns=key.expires_ns,
            revoked=key.revoked_ns is not None,
        )


def _stored_tier(key: StoredKey, organisation: Organisation) -> Tier:
    budgets: list[Budget] = []
    rates: list[Rate] = []
    for name, entry in key.limits.items():
        if name == _CACHE or not isinstance(entry, dict):
            continue
        limit, span = entry["limit"], window(_duration(str(entry["window"])))
        if not isinstance(limit, int):
            continue
        if name == "budget":
            budgets.append(Budget(limit, span))
        else:
            rates.append(Rate("requests" if name == "request" else "tokens", limit, span))
    tier = Tier(TierId("key", key.name), tuple(budgets), tuple(rates), enforcement=organisation.enforcement)
    return organisation.key_tier(tier)


def _stored_rule(key: StoredKey) -> Rule:
    stored = key.limits.get(_CACHE)
    return rule_of(CacheRule.model_validate(stored)) if isinstance(stored, dict) else NO_RULE


def _duration(text: str) -> Duration:
    try:
        return Duration.parse(text)
    except ValueError as error:
        raise KeyringError(400, "invalid_request", f"The window {text[:20]!r} {error}.") from None


def _describe(key: StoredKey) -> dict[str, Any]:
    return {
        "name": key.name,
        "source": "database",
        "hint": f"…{key.hint}",
        "team": key.team,
        "customer": key.customer,
        "grants": dict(key.grants),
        "limits": dict(key.limits),
        "created_at": instant(key.created_ns),
        "expires_at": instant(key.expires_ns) if key.expires_ns else None,
    }


def _state(key: StoredKey, now_ns: int) -> str:
    if key.revoked_ns is not None:
        return "revoked"
    return "expired" if key.expires_ns is not None and key.expires_ns <= now_ns else "active"
