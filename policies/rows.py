"""Builds ledger rows from calls, attempts and refusals: the only place that does."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from policies.caching.vocabulary import Found
from policies.counters import Hold
from policies.dispatch import Attempt
from policies.identity import VirtualKey
from policies.ledger import LedgerRow
from policies.settlement import Charge
from policies.types import Call, Estimate, ModelCall, Outcome, OutcomeKind, Refusal

NAME_LIMIT: Final = 512
"""Characters of a name that a caller chose: what is refused is recorded too, and may be as long as a body."""


def _begun(key: VirtualKey | None, call: Call, outcome: OutcomeKind) -> LedgerRow:
    """Who called, and what. Columns are named one by one: a dictionary on the way costs as much as the row."""
    context = call.context
    principal = key.principal if key is not None else None
    if isinstance(call, ModelCall):
        operation, target, stream = call.operation, call.model, call.stream
    else:
        operation, target, stream = "", f"{call.server}/{call.name}" if call.server else call.name, False
    return LedgerRow(
        call_id=context.call_id,
        started_ns=context.started_ns,
        kind=call.kind,
        surface=context.surface,
        operation=operation,
        origin=context.origin,
        parent=context.parent,
        key=principal.key if principal is not None else None,
        team=principal.team if principal is not None else None,
        customer=principal.customer if principal is not None else None,
        run=context.run,
        trace_id=context.trace_id,
        agent_id=context.agent_id,
        tool_use_id=context.tool_use_id,
        target=target[:NAME_LIMIT],
        stream=stream,
        outcome=outcome,
    )


def open_row(attempt: Attempt, hold: Hold, estimate: Estimate) -> LedgerRow:
    """The row that stands if the process dies while the attempt is under way."""
    target = attempt.target
    return replace(
        _begun(attempt.key, attempt.call, "interrupted"),
        attempt=attempt.number,
        provider=target.owner,
        account=target.account or None,
        upstream=target.name,
        reason=attempt.reason,
        code="interrupted",
        cost_nano=hold.cost_nano,
        held_nano=hold.cost_nano,
        basis="estimated" if hold.cost_nano else "none",
        input_tokens=estimate.input_tokens,
        output_tokens=hold.tokens - estimate.input_tokens,
        price_source=target.price.source,
        warning="The gate stopped while this call was under way; charged by estimate.",
        tiers=tuple([tier.label for tier in hold.tiers]),
    )


def settled_row(opened: LedgerRow, attempt: Attempt, outcome: Outcome, charged: Charge, now_ns: int) -> LedgerRow:
    """The final row of an attempt, in the place of the one that was ``opened``."""
    started = opened.started_ns
    usage = charged.usage
    answered = attempt.answered_ns or now_ns
    sent = attempt.sent_ns or answered
    return replace(
        opened,
        duration_us=max(0, now_ns - started) // 1000,
        overhead_us=max(0, (sent - started) + (now_ns - answered)) // 1000,
        first_byte_us=max(0, attempt.first_byte_ns - started) // 1000 if attempt.first_byte_ns else None,
        outcome=outcome.kind,
        code=outcome.code,
        status=outcome.status,
        stop_reason=outcome.stop_reason,
        input_tokens=usage.input_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        cache_write_1h_tokens=usage.cache_write_1h_tokens,
        output_tokens=usage.output_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        cost_nano=charged.cost_nano,
        basis=charged.basis,
        warning=attempt.target.price.warning if charged.cost_nano else None,
        upstream_request_id=outcome.upstream_request_id,
        cache=attempt.cache,
        cache_id=attempt.cache_id,
    )


def hit_row(key: VirtualKey, call: Call, found: Found, now_ns: int) -> LedgerRow:
    """The row of a call that the cache answered: a request of its payers, and nothing to pay."""
    entry = found.entry
    duration = max(0, now_ns - call.context.started_ns) // 1000
    return replace(
        _begun(key, call, "cached"),
        duration_us=duration,
        overhead_us=duration,
        provider=entry.provider,
        saved_nano=entry.cost_nano,
        cache="exact" if found.layer == "exact" else f"semantic:{found.similarity:.4f}",
        cache_id=entry.id.hex(),
        tiers=key.tier_names,
    )


def follower_row(key: VirtualKey, call: Call, leader: LedgerRow, now_ns: int, *, left: bool) -> LedgerRow:
    """The row of a call that shared another's flight, which was paid once."""
    outcome: OutcomeKind = "cached" if leader.outcome == "ok" else leader.outcome
    return replace(
        _begun(key, call, "cancelled" if left else outcome),
        duration_us=max(0, now_ns - call.context.started_ns) // 1000,
        provider=leader.provider,
        upstream=leader.upstream,
        code="cancelled" if left else leader.code,
        status=leader.status,
        stop_reason=leader.stop_reason,
        saved_nano=leader.cost_nano if outcome == "cached" and not left else 0,
        cache="coalesced",
        cache_id=leader.cache_id,
        tiers=key.tier_names,
    )


def refused_row(
    key: VirtualKey | None, call: Call, refusal: Refusal, now_ns: int, *, metered: bool = False
) -> LedgerRow:
    """The row of a call that never left. One that was metered counts as a request of its tiers."""
    return replace(
        _begun(key, call, "refused"),
        duration_us=max(0, now_ns - call.context.started_ns) // 1000,
        code=refusal.code,
        tiers=key.tier_names if key is not None and metered else (),
    )
