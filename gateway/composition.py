"""The one place where everything is put together: configuration in, a running gateway out."""

from __future__ import annotations

import asyncio
import importlib
import os
import time
from collections.abc import Callable
from functools import partial

import structlog

from gateway.admin.parts import AdminParts, CacheParts, Operations, Prices
from gateway.cache_policy import cache_policy_of, cache_wanted
from gateway.caches import embedder_of, open_cache
from gateway.compile import expected_output_of, fallbacks_of, members_of, providers_of, tool_prices_of
from gateway.config.models import Config
from gateway.door import App, Door, host_policy
from gateway.embedding import RouteEmbedder
from gateway.keyring import Keyring
from gateway.later import LoadedLater, lasting
from gateway.price_book import PriceBook
from gateway.reports import GatewayReports, ReportParts
from gateway.routes import ANTHROPIC, ANTHROPIC_ROUTES, BY_OPERATION, MODEL_ROUTES
from gateway.sampling import GatewaySampler
from gateway.state import StateDir, StateError
from gateway.stores import Books, CounterStore, adopt_journals, open_books, open_counters
from gateway.surfaces.discovery import METADATA_PATH, REGISTER_PATH, ResourceMetadata, public_url_of, register
from gateway.surfaces.gemini import GeminiSurface
from gateway.surfaces.health import HealthSurface, alive
from gateway.surfaces.mcp import McpParts, McpSurface
from gateway.surfaces.mcp_calls import CallParts
from gateway.surfaces.mcp_requests import McpRequests, Presentation
from gateway.surfaces.model_lists import ModelList, hello
from gateway.surfaces.models import Front, ModelSurface
from gateway.telemetry import Telemetry
from gateway.transport import PooledTransport
from gateway.upkeep import expire_rows, follow_changes, forget_quietly
from mcp_hub.bridge import BridgeParts
from mcp_hub.cursors import Cursors
from mcp_hub.hub import Hub, HubSettings
from mcp_hub.parking import ParkingLot, ParkingRules
from mcp_hub.request_state import RequestStates
from mcp_hub.seams import Notification
from mcp_hub.session_key import SessionKey
from mcp_hub.upstream.supervisor import Supervisor, SupervisorSettings
from mcp_hub.way import ToolPrice
from mcp_hub.wire.client_sessions import ClientSessions
from policies.caching.cache import Cache
from policies.caching.vocabulary import Selector
from policies.egress import EgressGuard
from policies.identity import Directory
from policies.key_hashing import KeyHasher
from policies.ledger_queries import StoreUnavailable
from policies.passage import Enforced, Passage
from policies.proxies import from_environment
from policies.runs import ToolUseIndex
from policies.sealing import Sealer
from policies.trip import Terms
from policies.windows import SECOND_NS
from providers.affinity import Affinity
from providers.breaker import Breakers
from providers.dialects.gemini import Gemini
from providers.dialects.openai import refusal_body
from providers.executor import ModelBounds, ModelExecutor
from providers.planning import TargetHealth
from providers.price_catalogue import Listings, PriceCatalogue
from providers.routing import Router

log = structlog.get_logger("tollkeeper")

VERSION = "0.1.0"
DRAIN_S = 5.0
DEADLINE_S = 600.0
TOOL_DEADLINE_S = 3600.0
"""How long one call of a tool may take with all its questions: a person may think for a while."""


class Gateway:
    """All parts of one process, started and stopped together. Make it on the loop that will run it.
    Raises ``StateError``."""

    def __init__(self, config: Config, state: StateDir, host: str | None, worker: int = 0, workers: int = 1) -> None:
        self._others = partial(adopt_journals, state, workers=workers) if worker == 0 else None
        self._clock: Callable[[], int] = time.time_ns
        self._config = config
        self._transport = PooledTransport(EgressGuard(), proxies=from_environment(os.environ))
        self._telemetry = Telemetry()
        # The state directory's own database is this process's alone: its journal is locked.
        self._shares_books = config.stores.ledger is not None or workers > 1
        self._books: Books = open_books(config, state, (self._telemetry.observe,), worker)
        self._ledger = self._books.ledger
        self._counters: CounterStore = open_counters(config)
        hasher = KeyHasher(state.pepper())
        self._directory = Directory((hasher.peppered, hasher.plain), self._clock)
        self._keyring = Keyring(self._books.keys, hasher, self._directory, self._clock)
        self._prices = PriceBook(self._books.prices, self._clock, self._reprice)
        self._router = self._route(config)
        bounds = ModelBounds(config.limits.max_reply_bytes, expected_output_of(config))
        self._health = TargetHealth(Breakers(self._clock), Affinity(self._clock))
        self._executor = ModelExecutor(self._transport, self._router, self._directory.knows, bounds, self._health)
        self._tool_price: ToolPrice = tool_prices_of(config)
        limits = config.limits
        self._supervisor = Supervisor(
            self._transport,
            SupervisorSettings(limits.max_sessions, limits.session_idle_seconds),
            self._clock,
            self._member_spoke,
        )
        mcp = config.mcp
        settings = HubSettings(mcp.client_alias_budget, page_size=mcp.page_size, sampling=mcp.sampling)
        self._hub = Hub(self._supervisor, settings, self._clock)
        tool_uses = ToolUseIndex(self._clock)
        embedder = embedder_of(config, self._executor, self._clock)
        self._cache = open_cache(config, state, embedder, self._clock)
        self._passage = Passage(
            self._counters.counters,
            self._ledger,
            tool_uses,
            self._clock,
            Enforced(config.budgets.enforcement == "strict", config.budgets.on_exhausted == "cut"),
            self._cache,
        )
        if isinstance(embedder, RouteEmbedder):
            embedder.passage = self._passage
        self._tasks: list[asyncio.Task[None]] = []
        self._forgetting: set[asyncio.Task[None]] = set()
        self.door = self._build_door(config, state, host, tool_uses)

    async def start(self) -> None:
        """Read the books, take over what a dead process left, connect to the members in the background.
        Raises ``StateError``."""
        try:
            left = self._ledger.start()
            if self._others is not None:
                left += self._others(self._books.store)
        except StoreUnavailable as error:
            raise StateError(f"The ledger cannot be opened: {error}.") from None
        for row in left:
            if row.outcome == "interrupted":
                log.warning("call_interrupted", call_id=row.call_id, key=row.key, target=row.target)
        self._keyring.load(self._config)
        self._prices.load(self._config)
        self._reprice()
        await self._counters.start(left)
        await self._restore()
        if self._cache is not None:
            await self._cache.start()
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(expire_rows(self._ledger, lambda: self._config.ledger, self._clock), name="retention"),
        ]
        if self._shares_books:
            self._tasks.append(
                loop.create_task(follow_changes(self._keyring, self._prices, self._books), name="replicas")
            )
        if self._router.must_look_up:
            # Not the first call: it would wait.
            self._tasks.append(loop.create_task(asyncio.to_thread(lasting, _read_listings), name="listings"))
        self._supervisor.reconfigure(members_of(self._config))
        self._hub.reconfigure([spec.name for spec in members_of(self._config)])

    def reload(self, config: Config) -> None:
        """Take a new configuration, whole: keys, providers, prices, servers. Sessions of unchanged servers
        stay. What binds the process (address, limits, stores) changes at the next start."""
        self._config = config
        self._prices.load(config)
        self._reprice()
        self._tool_price = tool_prices_of(config)
        if self._cache is not None:
            self._cache.policy = cache_policy_of(config)
        elif cache_wanted(config):
            log.warning("configuration_needs_restart", block="cache", reason="the process started without a cache")
        self._keyring.load(config)
        self._tasks.append(asyncio.get_running_loop().create_task(self._restore(), name="restore"))
        members = members_of(config)
        changed = self._supervisor.reconfigure(members)
        self._hub.reconfigure([spec.name for spec in members], changed)

    async def stop(self) -> None:
        """Let calls under way end within a bound, settle the rest, reap the members, close the books."""
        await self._passage.drain(DRAIN_S)
        for task in self._tasks:
            task.cancel()
        await self._hub.stop()
        await self._supervisor.stop()
        if self._cache is not None:
            await self._cache.close()
        await self._counters.stop()
        await self._ledger.close()
        await self._transport.close()

    def _member_spoke(self, key: SessionKey, notification: Notification) -> None:
        stale = self._hub.notified(key, notification)
        if stale is not None and self._cache is not None and self._cache.policy.keeps_results:
            self._forget(self._cache, Selector(server=key.server, tool=stale or None))

    def _forget(self, cache: Cache, wanted: Selector) -> None:
        """What a member said is out of date."""
        forgetting = asyncio.get_running_loop().create_task(forget_quietly(cache, wanted))
        self._forgetting.add(forgetting)
        forgetting.add_done_callback(self._forgetting.discard)

    def _route(self, config: Config) -> Router:
        catalogue = PriceCatalogue(config.budgets.unknown_price, self._clock, _listings, self._prices.overrides)
        return Router(providers_of(config), catalogue, fallbacks_of(config))

    def _reprice(self) -> None:
        """Route and price anew: kept routes hold prices."""
        self._router = self._executor.router = self._route(self._config)

    async def _restore(self) -> None:
        """Fill the windows that are not counted yet: all at start, those of new limits on reload."""
        tiers = [*self._keyring.tiers(), *(t for p in self._router.providers for t in p.tiers)]
        await self._counters.restore(tiers, self._books.store, self._clock())

    def _build_door(self, config: Config, state: StateDir, host: str | None, tool_uses: ToolUseIndex) -> Door:
        limits = config.limits
        terms = Terms("cancel", DEADLINE_S)
        keep_alive_s = limits.stream_keep_alive_seconds
        front = Front(self._directory, self._passage, self._clock, limits.max_body_bytes, terms, keep_alive_s)
        exact: dict[str, App] = {
            path: ModelSurface(dialect, self._executor, front) for path, dialect in (*MODEL_ROUTES, *ANTHROPIC_ROUTES)
        }
        lists = self._model_lists()
        gemini = self._gemini_surface(front)
        mcp = self._mcp_surface(config, state, tool_uses)
        metadata = ResourceMetadata(public_url_of(config.server.public_url))
        exact.update({"/mcp": mcp, "/mcp/": mcp, "/anthropic/api/hello": hello, **lists})
        exact.update({METADATA_PATH: metadata, REGISTER_PATH: register})
        prefixed: dict[str, App] = {
            "/mcp/": mcp,
            "/genai/": gemini,
            "/v1beta/": gemini,
            f"{METADATA_PATH}/": metadata,
            **{f"{path}/": app for path, app in lists.items()},
        }
        reports = self._reports(config)
        exact.update({"/healthz": HealthSurface(alive), "/readyz": HealthSurface(reports.readiness)})
        parts = self._admin_parts(reports, state.admin_token())
        return Door(host_policy(config, host), exact, prefixed, LoadedLater(partial(_admin_app, parts)))

    def _reports(self, config: Config) -> GatewayReports:
        return GatewayReports(
            ReportParts(
                hub=self._hub,
                supervisor=self._supervisor,
                router=lambda: self._router,
                health=self._health,
                keyring=self._keyring,
                ledger=self._ledger,
                cache=self._cache,
                counters_fail=self._counters.failing,
                clock=self._clock,
                client_prefix=config.mcp.client_alias_budget,
                deny_in_outage=config.budgets.on_store_outage == "deny",
            )
        )

    def _admin_parts(self, reports: GatewayReports, token: str) -> AdminParts:
        runs = self._passage.runs
        return AdminParts(
            Operations(reports, self._directory, self._counters.counters, runs, self._telemetry, self._clock),
            self._keyring,
            self._ledger,
            Prices(self._prices, lambda: self._router),
            CacheParts(self._passage.look_up, self._keyring, self._executor, BY_OPERATION, self._ledger),
            token,
        )

    def _model_lists(self) -> dict[str, App]:
        paths = (("/v1/models", "openai"), ("/openai/v1/models", "openai"), ("/anthropic/v1/models", "anthropic"))
        return {
            path: ModelList(
                "openai" if shape == "openai" else "anthropic",
                path,
                self._directory,
                lambda: self._router,
                refusal_body if shape == "openai" else ANTHROPIC.refusal_body,
            )
            for path, shape in paths
        }

    def _gemini_surface(self, front: Front) -> GeminiSurface:
        refusal = Gemini("v1beta", "", "generateContent").refusal_body
        lists = ModelList("gemini", "/models", self._directory, lambda: self._router, refusal)
        return GeminiSurface(self._executor, front, lists)

    def _mcp_surface(self, config: Config, state: StateDir, tool_uses: ToolUseIndex) -> McpSurface:
        info = {"name": "tollkeeper", "version": VERSION}
        limits = config.limits
        mcp = config.mcp
        secret = state.pepper()
        sampler = None
        if mcp.sampling == "gateway" and mcp.sampling_model is not None:
            sampler = GatewaySampler(mcp.sampling_model, self._executor, self._passage, self._clock)
        calls = CallParts(
            hub=self._hub,
            requests=McpRequests(
                self._hub,
                tool_uses,
                self._clock,
                Cursors(Sealer(secret, "mcp-cursor")),
                Presentation(info, mcp.instructions),
            ),
            passage=self._passage,
            bridge=BridgeParts(RequestStates(Sealer(secret, "mcp-request-state"), self._clock), sampler),
            parking=ParkingLot(ParkingRules(mcp.max_parked_per_key, mcp.max_parked, mcp.park_seconds)),
            price=lambda: self._tool_price,
            deadline_s=TOOL_DEADLINE_S,
        )
        return McpSurface(
            McpParts(
                calls=calls,
                sessions=ClientSessions(
                    limits.max_client_sessions, int(limits.client_session_idle_seconds * SECOND_NS), self._clock
                ),
                directory=self._directory,
                clock=self._clock,
                max_body_bytes=limits.max_body_bytes,
                public_url=public_url_of(config.server.public_url),
            )
        )


def _admin_app(parts: AdminParts) -> App:
    """FastAPI comes with it, so it is loaded by name, when it is asked for."""
    made: App = importlib.import_module("gateway.admin.app").admin_app(parts)
    return made


def _listings() -> Listings:
    """The catalogue package comes with them."""
    found: Listings = importlib.import_module("providers.listed_prices")
    return found


def _read_listings() -> None:
    _listings().prepare()
