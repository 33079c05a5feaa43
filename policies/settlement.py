"""What an attempt costs, given how it ended.

| how it ended | charged | basis |
|---|---|---|
| answered, usage reported | the reported usage | measured |
| answered, no usage reported | estimated input, output by what was seen | estimated |
| never sent, or refused by the upstream before content | nothing | none |
| sent, then cancelled, cut or timed out | reported part, else estimated input and seen output | estimated |
| a price per call, once the request was sent | that price | configured |
| a round of a tool call that ended with a question | nothing: the last round pays | none |

An upstream's counts are taken at their word between zero and ``MOST_TOKENS``: a negative count would
give money back, and one that no database column holds would stop the ledger.
"""

from __future__ import annotations

import msgspec

from policies.dispatch import Attempt
from policies.types import Basis, Estimate, Outcome, Usage

BYTES_PER_TOKEN = 4
MOST_TOKENS = 10**9
NO_USAGE = Usage()


class Charge(msgspec.Struct, frozen=True):
    """What is put on the row and on every tier."""

    cost_nano: int
    usage: Usage
    basis: Basis


NOTHING = Charge(0, NO_USAGE, "none")


def charge(attempt: Attempt, estimate: Estimate, outcome: Outcome) -> Charge:
    """Decide by the table above."""
    price = attempt.target.price
    if attempt.progress == "unsent" or (outcome.kind == "failed" and outcome.status >= 400 and not attempt.committed):
        return NOTHING
    if outcome.unfinished:
        return NOTHING
    if attempt.call.kind != "model":
        return Charge(price.per_call_nano, NO_USAGE, "configured" if price.per_call_nano else "none")
    if outcome.kind == "ok" and outcome.usage is not None:
        usage = _credible(outcome.usage)
        return Charge(price.cost(usage), usage, "measured")
    usage = _credible(_partial(attempt, estimate, outcome.usage or attempt.usage))
    return Charge(price.cost(usage), usage, "estimated")


def _partial(attempt: Attempt, estimate: Estimate, reported: Usage | None) -> Usage:
    """The part that was reported, completed by what was seen to pass."""
    seen = -(-attempt.output_bytes // BYTES_PER_TOKEN)
    if reported is None:
        return Usage(input_tokens=estimate.input_tokens, output_tokens=seen)
    if reported.output_tokens >= seen:
        return reported
    return msgspec.structs.replace(reported, output_tokens=seen)


def _credible(usage: Usage) -> Usage:
    counts = msgspec.structs.astuple(usage)
    if min(counts) >= 0 and max(counts) <= MOST_TOKENS:
        return usage
    return Usage(**{name: min(max(count, 0), MOST_TOKENS) for name, count in msgspec.structs.asdict(usage).items()})
