"""The vocabulary of the core: who calls, what is called, what it may cost, how it ended.

Everything here is a plain value without behaviour. Layers above (``providers``, ``mcp_hub``,
``gateway``) translate their wire formats into these values and back; nothing here knows HTTP,
MCP or a vendor.

Values that are made once per call are ``msgspec.Struct`` (they cost a third of a frozen
dataclass to build); values that are made when a configuration is loaded are dataclasses.

Money is an integer number of nano-dollars (10^-9 USD). Times are integer nanoseconds since the
Unix epoch (``_ns``); durations are integer microseconds (``_us``) unless a name says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import msgspec

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

CallKind = Literal["model", "tool", "resource", "prompt", "completion", "count_tokens"]
Origin = Literal["client", "sampling", "embedding"]
OutcomeKind = Literal["ok", "failed", "cancelled", "interrupted", "refused", "cached"]
Basis = Literal["measured", "estimated", "configured", "none"]
FailureClass = Literal["outage", "rate", "credentials", "context", "unsupported", "final"]
"""``providers.failures`` tells them apart."""
RefusalKind = Literal[
    "identity",  # 401: no, unknown, expired, revoked or contradictory credential
    "permission",  # 403: not granted, or does not exist (one answer for both)
    "budget",  # 402: a money limit is used up
    "rate",  # 429: a request, token or parallel-call limit is used up
    "request",  # 400/413/415: the request itself is malformed
    "unavailable",  # 502/503/504: no target can serve it now
]


@dataclass(frozen=True, slots=True)
class Principal:
    """Who pays and who is asked: the identity that is part of every key and every row.

    ``key`` is the virtual key's stable name, never its secret.
    """

    key: str
    team: str | None = None
    customer: str | None = None


class CallContext(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a call before it is judged, whatever its kind."""

    call_id: str
    """Unique, sortable by time; the ledger's primary key together with the attempt."""
    started_ns: int
    surface: str
    """The client's dialect: ``openai_chat``, ``anthropic``, ``mcp_modern``, …"""
    run: str | None = None
    """The agent session's id as the caller named it. A run is (key, value): never shared by keys."""
    run_limits: str | None = None
    """The caller's own narrowing of the run's limits, as it wrote them (``policies.run_limits``)."""
    parent: str | None = None
    """``call_id`` of the call that asked for this one (a model call for its tool calls)."""
    origin: Origin = "client"
    tool_use_id: str | None = None
    trace_id: str | None = None
    agent_id: str | None = None


class ModelCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call that a language model answers."""

    context: CallContext
    operation: str
    """``chat``, ``messages``, ``responses``, ``embeddings``, ``count_tokens``."""
    model: str
    """The logical model as the caller wrote it: ``gpt-4o`` or ``openai/gpt-4o``."""
    stream: bool = False
    kind: CallKind = "model"


class ToolCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call that a member of the MCP hub answers: a tool, a resource, a prompt, a completion."""

    context: CallContext
    server: str
    name: str
    """The member's own name for it: tool or prompt name, or resource URI."""
    kind: CallKind = "tool"
    continues: bool = False
    """A later round of a call that was counted before."""


Call = ModelCall | ToolCall


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of one attempt, in disjoint counts so that each has one price.

    ``input_tokens`` excludes cached and cache-writing ones whatever the vendor reports;
    ``reasoning_tokens`` and ``audio_*`` are shares *of* ``output_tokens``/``input_tokens``.
    """

    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    input_audio_tokens: int = 0
    output_audio_tokens: int = 0

    @property
    def total(self) -> int:
        """All tokens that a token limit counts."""
        return (
            self.input_tokens
            + self.cache_read_tokens
            + self.cache_write_tokens
            + self.cache_write_1h_tokens
            + self.output_tokens
        )


class Estimate(msgspec.Struct, frozen=True):
    """What an attempt is expected to use typically (``expected``) or at most (``strict``)."""

    input_tokens: int = 0
    expected_output_tokens: int = 0
    max_output_tokens: int | None = 0
    """What the request allows; ``None``: it does not say."""
    max_input_tokens: int | None = None
    """More than these the input cannot be; ``None``: as ``input_tokens``."""

    @property
    def most_input_tokens(self) -> int:
        return self.input_tokens if self.max_input_tokens is None else self.max_input_tokens


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why the gate says no: a value that every surface renders in its own envelope.

    ``message`` is for people and models, without secrets. ``code`` is stable and has a page
    under ``docs/errors/``.
    """

    kind: RefusalKind
    code: str
    message: str
    retry_after_s: float | None = None
    """True waiting time of a rate refusal."""
    reset_at_ns: int | None = None
    """When the exhausted budget's window ends."""
    details: Mapping[str, Json] = {}
    """Machine-readable facts: ``tier``, ``limit``, ``used``, ``allowed`` …"""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How one dispatched attempt ended, as the executor saw it."""

    kind: Literal["ok", "failed", "cancelled"]
    reply: object = None
    """The finished answer, opaque to the core. ``None`` when it was emitted as a stream."""
    status: int = 0
    """The upstream's status where it has one."""
    code: str | None = None
    """Stable error code when ``kind`` is not ``ok``."""
    message: str | None = None
    usage: Usage | None = None
    """What the upstream reported; ``None`` when it reported nothing."""
    upstream_request_id: str | None = None
    stop_reason: str | None = None
    unfinished: bool = False
    """The call goes on in a later request, which pays for it."""
    kept: object = None
    """The answer as ``policies.caching.vocabulary.Kept``, where it may be given again."""
    failure: FailureClass | None = None
    """What kind of failure: it decides whether and where the call is tried again."""
    retry_after_s: float | None = None
    """How long the upstream asks to wait."""
