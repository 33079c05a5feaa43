"""The one place where everything is put together: configuration in, a running gateway out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from urllib.parse import urlsplit

import structlog
from sqlalchemy.exc import SQLAlchemyError

from gateway.admin.app import admin_app
from gateway.admin.operations import Operations
from gateway.compile import members_of, providers_of, tool_prices_of
from gateway.config.models import Config
from gateway.door import LOOPBACK_NAMES, App, Door, HostPolicy
from gateway.keyring import Keyring
from gateway.reports import GatewayReports
from gateway.state import StateDir, StateError
from gateway.surfaces.mcp import McpParts, McpSurface
from gateway.surfaces.mcp_requests import McpRequests
from gateway.surfaces.model_lists import ModelList, hello
from gateway.surfaces.models import Front, ModelSurface
from gateway.telemetry import Telemetry
from gateway.transport import AiohttpTransport
from mcp_hub.dispatch import ToolPrice
from mcp_hub.hub import Hub, HubSettings
from mcp_hub.seams import Notification, SessionKey
from mcp_hub.upstream.supervisor import Supervisor, SupervisorSettings
from mcp_hub.wire.client_sessions import ClientSessions
from policies.counters import MemoryCounters
from policies.egress import EgressGuard
from policies.identity import Directory
from policies.journal import Journal, JournalLocked
from policies.journaled_ledger import JournaledLedger, Observer
from policies.key_hashing import KeyHasher
from policies.ledger_queries import LedgerStore, StoreUnavailable
from policies.passage import Passage, Terms
from policies.restoring import restore_counters
from policies.runs import ToolUseIndex
from policies.stores.engine import MigrationFailed, open_engine
from policies.stores.keys import RelationalKeys
from policies.stores.ledger import RelationalLedger
from policies.windows import SECOND_NS
from providers.dialects.anthropic import AnthropicCountTokens, AnthropicMessages
from providers.dialects.base import Dialect
from providers.dialects.openai import refusal_body
from providers.dialects.openai_chat import OpenAIChat
from providers.dialects.openai_embeddings import OpenAIEmbeddings
from providers.dialects.openai_responses import OpenAIResponses
from providers.executor import ModelBounds, ModelExecutor
from providers.price_catalogue import PriceCatalogue
from providers.routing import Router

log = structlog.get_logger("tollkeeper")

VERSION = "0.1.0"
DRAIN_S = 5.0
DEADLINE_S = 600.0
RETENTION_BATCH = 5_000
RETENTION_PAUSE_S = 3_600.0

_ANTHROPIC = AnthropicMessages()
_OPENAI: tuple[tuple[str, Dialect], ...] = (
    ("/v1/chat/completions", OpenAIChat()),
    ("/v1/responses", OpenAIResponses()),
    ("/v1/embeddings", OpenAIEmbeddings()),
)
MODEL_ROUTES = (*_OPENAI, *((f"/openai{path}", dialect) for path, dialect in _OPENAI))
ANTHROPIC_ROUTES: tuple[tuple[str, Dialect], ...] = (
    ("/anthropic/v1/messages", _ANTHROPIC),
    ("/anthropic/v1/messages/count_tokens", AnthropicCountTokens()),
)
"""With ``MODEL_ROUTES``, every route that can spend money on a model: each is a ``ModelSurface``."""


class Gateway:
    """All parts of one process, started and stopped together. Make it on the loop that will run it.
    Raises ``StateError``."""

    def __init__(self, config: Config, state: StateDir, host: str | None) -> None:
        self._clock: Callable[[], int] = time.time_ns
        self._config = config
        self._transport = AiohttpTransport(EgressGuard())
        self._telemetry = Telemetry()
        self._ledger, self._store, keys = open_books(config, state, (self._telemetry.observe,))
        self._counters = MemoryCounters()
        hasher = KeyHasher(state.pepper())
        self._directory = Directory((hasher.peppered, hasher.plain), self._clock)
        self._keyring = Keyring(keys, hasher, self._directory, self._clock)
        self._router = self._route(config)
        bounds = ModelBounds(config.limits.max_reply_bytes, config.budgets.expected_output_tokens)
        self._executor = ModelExecutor(self._transport, self._router, self._directory.knows, bounds)
        self._tool_price: ToolPrice = tool_prices_of(config)
        limits = config.limits
        self._supervisor = Supervisor(
            self._transport,
            SupervisorSettings(limits.max_sessions, limits.session_idle_seconds),
            self._clock,
            self._member_spoke,
        )
        self._hub = Hub(self._supervisor, HubSettings(config.mcp.client_alias_budget), self._clock)
        tool_uses = ToolUseIndex(self._clock)
        self._passage = Passage(
            self._counters, self._ledger, tool_uses, self._clock, strict=config.budgets.enforcement == "strict"
        )
        self._retention: asyncio.Task[None] | None = None
        self.door = self._build_door(config, state, host, tool_uses)

    async def start(self) -> None:
        """Read the books, take over what a dead process left, connect to the members in the background.
        Raises ``StateError``."""
        try:
            interrupted = self._ledger.start()
        except StoreUnavailable as error:
            raise StateError(f"The ledger cannot be opened: {error}.") from None
        for row in interrupted:
            log.warning("call_interrupted", call_id=row.call_id, key=row.key, target=row.target)
        self._keyring.load(self._config)
        self._restore()
        self._retention = asyncio.get_running_loop().create_task(self._retain(), name="retention")
        self._supervisor.reconfigure(members_of(self._config))
        self._hub.reconfigure([spec.name for spec in members_of(self._config)])

    def reload(self, config: Config) -> None:
        """Take a new configuration, whole: keys, providers, prices, servers. Sessions of unchanged servers
        stay. What binds the process (address, limits, stores) changes at the next start."""
        self._config = config
        self._router = self._route(config)
        self._executor.router = self._router
        self._tool_price = tool_prices_of(config)
        self._keyring.load(config)
        self._restore()
        members = members_of(config)
        changed = self._supervisor.reconfigure(members)
        self._hub.reconfigure([spec.name for spec in members], changed)

    async def stop(self) -> None:
        """Let calls under way end within a bound, settle the rest, reap the members, close the books."""
        await self._passage.drain(DRAIN_S)
        if self._retention is not None:
            self._retention.cancel()
        await self._hub.stop()
        await self._supervisor.stop()
        await self._ledger.close()
        await self._transport.close()

    def _member_spoke(self, key: SessionKey, notification: Notification) -> None:
        self._hub.notified(key, notification)

    async def _retain(self) -> None:
        """Delete rows that are older than the configuration keeps, a bounded batch at a time."""
        while True:
            horizon = self._clock() - self._config.ledger.retention_days * 86_400 * SECOND_NS
            while await self._ledger.ask(partial(_expire, horizon)):
                pass
            await asyncio.sleep(RETENTION_PAUSE_S)

    def _route(self, config: Config) -> Router:
        return Router(providers_of(config), PriceCatalogue(config.budgets.unknown_price, self._clock))

    def _restore(self) -> None:
        """Fill the windows that are not counted yet: all at start, those of new limits on reload."""
        tiers = [*self._keyring.tiers(), *(t for p in self._router.providers for t in p.tiers)]
        restore_counters(self._counters, tiers, self._store, self._clock())

    def _build_door(self, config: Config, state: StateDir, host: str | None, tool_uses: ToolUseIndex) -> Door:
        limits = config.limits
        front = Front(self._directory, self._passage, self._clock, limits.max_body_bytes, Terms("cancel", DEADLINE_S))
        exact: dict[str, App] = {
            path: ModelSurface(dialect, self._executor, front) for path, dialect in (*MODEL_ROUTES, *ANTHROPIC_ROUTES)
        }
        lists = self._model_lists()
        mcp = self._mcp_surface(config, tool_uses)
        exact.update({"/mcp": mcp, "/mcp/": mcp, "/anthropic/api/hello": hello, **lists})
        prefixed: dict[str, App] = {"/mcp/": mcp, **{f"{path}/": app for path, app in lists.items()}}
        reports = GatewayReports(
            self._hub,
            self._supervisor,
            lambda: self._router,
            self._keyring,
            self._ledger,
            self._clock,
            config.mcp.client_alias_budget,
        )
        operations = Operations(reports, self._directory, self._counters, self._telemetry.registry, self._clock)
        admin = admin_app(operations, self._keyring, self._ledger, state.admin_token())
        return Door(_host_policy(config, host), exact, prefixed, admin)

    def _model_lists(self) -> dict[str, App]:
        paths = (("/v1/models", "openai"), ("/openai/v1/models", "openai"), ("/anthropic/v1/models", "anthropic"))
        return {
            path: ModelList(
                "openai" if shape == "openai" else "anthropic",
                path,
                self._directory,
                lambda: self._router,
                refusal_body if shape == "openai" else _ANTHROPIC.refusal_body,
            )
            for path, shape in paths
        }

    def _mcp_surface(self, config: Config, tool_uses: ToolUseIndex) -> McpSurface:
        info = {"name": "tollkeeper", "version": VERSION}
        limits = config.limits
        return McpSurface(
            McpParts(
                hub=self._hub,
                requests=McpRequests(self._hub, tool_uses, self._clock, info, config.mcp.instructions),
                sessions=ClientSessions(
                    limits.max_client_sessions, int(limits.client_session_idle_seconds * SECOND_NS), self._clock
                ),
                passage=self._passage,
                directory=self._directory,
                price=lambda: self._tool_price,
                clock=self._clock,
                max_body_bytes=limits.max_body_bytes,
                deadline_s=DEADLINE_S,
            )
        )


def _expire(horizon_ns: int, store: LedgerStore) -> int:
    return store.delete_before(horizon_ns, RETENTION_BATCH)


def open_books(
    config: Config, state: StateDir, observers: tuple[Observer, ...]
) -> tuple[JournaledLedger, RelationalLedger, RelationalKeys]:
    """The ledger, its store and the keys' store, on the configured database. Raises ``StateError``."""
    url = config.stores.ledger or f"sqlite:///{state.ledger}"
    try:
        engine = open_engine(url)
        journal = Journal(state.journal)
    except (MigrationFailed, SQLAlchemyError) as error:
        reason = str(getattr(error, "orig", None) or error)
        raise StateError(f"The ledger store cannot be opened: {reason}.") from None
    except (JournalLocked, OSError) as error:
        raise StateError(str(error)) from None
    store = RelationalLedger(engine)
    return JournaledLedger(journal, store, observers), store, RelationalKeys(engine)


def _host_policy(config: Config, host: str | None) -> HostPolicy:
    """Loopback names, the public name, and what the operator allows."""
    server = config.server
    names = {*LOOPBACK_NAMES, *(h.lower() for h in server.allowed_hosts)}
    if server.public_url is not None:
        names.add((urlsplit(server.public_url).hostname or "").lower())
    bound = host or server.host
    if bound not in ("0.0.0.0", "::"):  # compared, not bound
        names.add(f"[{bound}]" if ":" in bound else bound.lower())
    return HostPolicy(frozenset(names), frozenset(server.allowed_origins))
