"""Takes a model call through one provider after another: the model side's executor."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from policies.caching.vocabulary import Answerable, Bypass, Kept, Replayed
from policies.dispatch import Attempt, Following, Target
from policies.egress import HttpTransport
from policies.identity import VirtualKey
from policies.types import Estimate, FailureClass, Outcome, Refusal
from providers.caching.model_calls import answerable, replayed
from providers.dialects.base import Dialect, ModelRequest
from providers.exchange import Exchange, Wire
from providers.itinerary import Itinerary, RetryRules
from providers.planning import RouteRequest, TargetHealth, itinerary
from providers.routing import Router
from providers.sending import ClientRequest


@dataclass(frozen=True, slots=True)
class ModelBounds:
    """How much an answer may be, and how much of it is expected."""

    max_reply_bytes: int
    expected_output_tokens: Callable[[str], int]
    """By model. Held for an answer before it is known: Claude Code asks for 128,000 and uses a fraction."""


class ModelExecutor:
    """Composed once per configuration."""

    def __init__(
        self,
        transport: HttpTransport,
        router: Router,
        is_virtual_key: Callable[[str], bool],
        bounds: ModelBounds,
        health: TargetHealth,
    ) -> None:
        self.wire = Wire(transport, is_virtual_key, bounds.max_reply_bytes)
        self.router = router
        self.bounds = bounds
        self.health = health

    def dispatch(
        self, dialect: Dialect, request: ModelRequest, headers: Mapping[str, str], query: str, run: str | None = None
    ) -> ModelDispatch:
        """One call, ready for the passage. ``run``: the agent session, which stays with its target."""
        return ModelDispatch(self, dialect, request, headers, query, run)


class ModelDispatch:
    """``policies.dispatch.Dispatch`` of one model call."""

    __slots__ = ("_dialect", "_exchange", "_executor", "_found", "_itinerary", "_request", "_router", "_run")

    def __init__(
        self,
        executor: ModelExecutor,
        dialect: Dialect,
        request: ModelRequest,
        headers: Mapping[str, str],
        query: str,
        run: str | None,
    ) -> None:
        self._run = run
        self._found: Sequence[Target] | Refusal | None = None
        self._itinerary: Itinerary | None = None
        self._executor = executor
        self._router = executor.router  # a reload must not change the router between route and run
        self._dialect = dialect
        self._request = request
        self._exchange = Exchange(executor.wire, ClientRequest(dialect, request, headers, query))

    def admit(self, key: VirtualKey) -> Refusal | None:
        """Admission and routing are one question for models: is there a target that the key may use?"""
        found = self._found = self._router.route(key, self._request.model, self._dialect.service)
        return found if isinstance(found, Refusal) and found.kind == "permission" else None

    def route(self, key: VirtualKey) -> Sequence[Target] | Refusal:
        request, first = self._request, self._found
        if first is None:  # nobody asked before whether it may go at all
            first = self._router.route(key, request.model, self._dialect.service)
        wanted = RouteRequest(key, request.model, self._dialect.service, request.fallbacks, self._run)
        found = itinerary(self._router, self._executor.health, wanted, first, partial(_rules, self._router))
        if isinstance(found, Refusal):
            return found
        self._itinerary = found
        return found.targets

    def following(self, attempt: Attempt, outcome: Outcome) -> Following | None:
        return None if self._itinerary is None else self._itinerary.following(attempt.target, outcome)

    def estimate(self, target: Target) -> Estimate:
        asked = self._request.max_output_tokens
        expected = self._executor.bounds.expected_output_tokens(target.name)
        typical = expected if asked is None else min(asked, expected)
        return Estimate(self._request.input_tokens, typical, asked, self._request.max_input_tokens)

    def answerable(self, key: VirtualKey) -> Answerable | Bypass:
        asked = self._exchange.asked
        own = self._exchange.own_credentials() if self._router.passes_credentials else []
        return answerable(self._dialect, self._request, asked.headers, asked.query, own)

    def replay(self, kept: Kept) -> Replayed | None:
        return replayed(self._dialect, self._request, kept)

    async def run(self, attempt: Attempt) -> Outcome:
        provider = self._router.provider(attempt.target.owner)
        health, target = self._executor.health, attempt.target
        if self._itinerary is not None and self._itinerary.is_fallback(target):
            attempt.keep_bytes = 0  # another model's answer is not this one's
        health.breakers.begun(target)
        failure: FailureClass | None = "final"  # a call that is cancelled says nothing of its target
        try:
            outcome = await self._exchange.make(attempt, provider)
            failure = outcome.failure if outcome.kind == "failed" else None
            if failure is None and self._run is not None:
                health.affinity.remember((attempt.key.principal.key, self._run, self._request.model), target)
            return outcome
        finally:
            health.breakers.ended(target, failure, provider.breaker)


def _rules(router: Router, provider: str) -> RetryRules:
    """Of no dispatch: a plan that held its dispatch would make a circle of every call."""
    return router.provider(provider).retries
