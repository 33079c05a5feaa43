"""The ledger: one row for every attempt that left the process, every refusal and every cache hit.

A row is keyed ``(call_id, attempt)`` and written exactly once, however often it is replayed.
No bodies are stored. ``Ledger`` is what the passage talks to; it never blocks the caller: a row
goes to the journal (unsynced append) and to a queue that a writer drains in batches.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from policies.types import Basis, CallKind, Origin, OutcomeKind


class LedgerRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of the account. Empty columns are ``None``; counts and money are never ``None``.

    Encoded, as the journal does it for every call, it names only the columns that say something: half the time and
    half the bytes. People are told all of them: ``columns_of``.
    """

    call_id: str
    attempt: int = 1
    started_ns: int
    duration_us: int = 0
    overhead_us: int = 0
    """Time spent inside the gate before the request left and after the answer came."""
    first_byte_us: int | None = None
    kind: CallKind
    surface: str
    operation: str = ""
    origin: Origin = "client"
    parent: str | None = None
    """``call_id`` of the call that asked for this one."""
    key: str | None = None
    team: str | None = None
    customer: str | None = None
    run: str | None = None
    trace_id: str | None = None
    agent_id: str | None = None
    tool_use_id: str | None = None
    target: str
    """What the caller asked for: the logical model, or the exposed tool name."""
    provider: str | None = None
    """The provider or MCP server that was chosen."""
    account: str | None = None
    """Which of the provider's keys, where it has several."""
    upstream: str | None = None
    """The upstream's own name of the model or tool."""
    reason: str | None = None
    """Why an attempt after the first was made: ``retry``, ``other_key``, ``other_target``, ``fallback``."""
    outcome: OutcomeKind
    code: str | None = None
    """Stable error or refusal code."""
    status: int = 0
    stop_reason: str | None = None
    stream: bool = False
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cost_nano: int = 0
    held_nano: int = 0
    """What was held for it last; what the cost exceeds it by is the overshoot."""
    saved_nano: int = 0
    """What a cache hit saved."""
    cache: str | None = None
    """What the cache said: ``miss``, ``exact``, ``semantic:0.951``, ``coalesced``, ``bypass:no_cache_key``;
    ``None`` where there is none."""
    cache_id: str | None = None
    """The kept answer that was given or looked for, hexadecimal."""
    basis: Basis = "none"
    """Where ``cost_nano`` comes from: measured usage, an estimate, or a configured price."""
    price_source: str | None = None
    warning: str | None = None
    upstream_request_id: str | None = None
    tiers: tuple[str, ...] = ()
    """The tiers that were charged, as ``kind:name``."""


def columns_of(row: LedgerRow) -> dict[str, object]:
    """Every column by its name, empty ones too."""
    return msgspec.structs.asdict(row)


def tokens_of(row: LedgerRow) -> int:
    """All tokens of a row that a token limit counts."""
    return (
        row.input_tokens
        + row.cache_read_tokens
        + row.cache_write_tokens
        + row.cache_write_1h_tokens
        + row.output_tokens
    )


def requests_of(row: LedgerRow, tier: str) -> int:
    """What a row counts as a request of a tier: a provider's are attempts, everybody else's are calls. What is
    free of charge has a limit of its own and is no request."""
    if row.kind in ("completion", "count_tokens"):
        return 0
    if tier.startswith(("provider:", "key_provider:")):
        return int(row.outcome != "refused")
    return int(row.attempt == 1)


class Ledger(Protocol):
    """What the passage needs of a ledger."""

    def open(self, row: LedgerRow) -> None:
        """Journal, before an attempt leaves, the row that stands if the process dies now: outcome ``interrupted``,
        charged with the hold's estimate."""

    def record(self, row: LedgerRow) -> None:
        """Journal and queue a finished row; closes the entry of the same ``(call_id, attempt)``."""
