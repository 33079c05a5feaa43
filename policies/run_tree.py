"""A run as a tree: which model call asked for which tool call, what each cost, who pays.

Built from ledger rows alone. A call's attempts are one node; a call whose parent is not among the rows
stands at the top.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from policies.ledger import LedgerRow
from policies.refusals import dollars, instant


@dataclass(frozen=True, slots=True)
class Node:
    """One call, its attempts in order, and the calls that it asked for."""

    call_id: str
    attempts: tuple[LedgerRow, ...]
    children: tuple[Node, ...]

    @property
    def last(self) -> LedgerRow:
        return self.attempts[-1]


@dataclass(frozen=True, slots=True)
class KindTotal:
    """Sums of one kind of call."""

    kind: str
    calls: int
    refused: int
    failed: int
    input_tokens: int
    output_tokens: int
    cost_nano: int


@dataclass(frozen=True, slots=True)
class RunTree:
    """One run of one key."""

    key: str | None
    team: str | None
    customer: str | None
    run: str
    roots: tuple[Node, ...]
    totals: tuple[KindTotal, ...]


def build_trees(run: str, rows: Iterable[LedgerRow]) -> list[RunTree]:
    """The run's trees: one per key, because a run is (key, value) and keys may use the same value."""
    per_key: dict[str | None, list[LedgerRow]] = {}
    for row in sorted(rows, key=lambda r: (r.started_ns, r.call_id, r.attempt)):
        per_key.setdefault(row.key, []).append(row)
    return [_tree(run, found) for found in per_key.values()]


def render(tree: RunTree) -> list[str]:
    """Lines for people. ``~`` marks an estimated cost."""
    payer = " / ".join(part for part in (tree.customer, tree.team, tree.key) if part)
    lines = [f"run {tree.run}   paid by {payer or 'nobody'}"]
    for index, root in enumerate(tree.roots):
        lines.extend(_render_node(root, "", last=index == len(tree.roots) - 1))
    lines.append("")
    lines.extend(_render_total(total) for total in tree.totals)
    lines.append(f"total {dollars(sum(total.cost_nano for total in tree.totals))}")
    return lines


def _tree(run: str, rows: Sequence[LedgerRow]) -> RunTree:
    attempts: dict[str, list[LedgerRow]] = {}
    for row in rows:
        attempts.setdefault(row.call_id, []).append(row)
    asked: dict[str | None, list[str]] = {}
    for call_id, found in attempts.items():
        parent = found[0].parent
        asked.setdefault(parent if parent in attempts and parent != call_id else None, []).append(call_id)

    def node(call_id: str, above: frozenset[str]) -> Node:
        below = [child for child in asked.get(call_id, ()) if child not in above]
        inside = above | {call_id}
        return Node(call_id, tuple(attempts[call_id]), tuple(node(child, inside) for child in below))

    first = rows[0]
    roots = tuple(node(call_id, frozenset()) for call_id in asked.get(None, ()))
    return RunTree(first.key, first.team, first.customer, run, roots, tuple(_totals(rows)))


def _totals(rows: Iterable[LedgerRow]) -> Iterator[KindTotal]:
    groups: dict[str, list[LedgerRow]] = {}
    for row in rows:
        groups.setdefault(row.kind, []).append(row)
    for kind, found in groups.items():
        yield KindTotal(
            kind=kind,
            calls=len({row.call_id for row in found}),
            refused=sum(row.outcome == "refused" for row in found),
            failed=sum(row.outcome == "failed" for row in found),
            input_tokens=sum(prompt_tokens(row) for row in found),
            output_tokens=sum(row.output_tokens for row in found),
            cost_nano=sum(row.cost_nano for row in found),
        )


def prompt_tokens(row: LedgerRow) -> int:
    """Input tokens of every kind."""
    return row.input_tokens + row.cache_read_tokens + row.cache_write_tokens + row.cache_write_1h_tokens


def _render_node(node: Node, indent: str, *, last: bool) -> Iterator[str]:
    branch, below = ("└─ ", "   ") if last else ("├─ ", "│  ")
    for row in node.attempts[:-1]:
        yield f"{indent}├─ {_describe(row)}  (attempt {row.attempt})"
    yield f"{indent}{branch}{_describe(node.last)}"
    for index, child in enumerate(node.children):
        yield from _render_node(child, indent + below, last=index == len(node.children) - 1)


def _describe(row: LedgerRow) -> str:
    parts = [instant(row.started_ns)[11:19], row.kind, row.target, row.outcome]
    if row.outcome != "ok" and row.code and row.code != row.outcome:
        parts.append(row.code)
    if row.kind == "model" and row.outcome != "refused":
        parts.append(f"{prompt_tokens(row)} in, {row.output_tokens} out")
    mark = "~" if row.basis == "estimated" else ""
    parts.append(f"{mark}{dollars(row.cost_nano)}")
    parts.append(f"{row.duration_us / 1000:.1f} ms")
    return "  ".join(parts)


def _render_total(total: KindTotal) -> str:
    parts = [f"{total.calls} {total.kind} call{'s' if total.calls != 1 else ''}"]
    if total.input_tokens or total.output_tokens:
        parts.append(f"{total.input_tokens} in, {total.output_tokens} out")
    if total.refused:
        parts.append(f"{total.refused} refused")
    if total.failed:
        parts.append(f"{total.failed} failed")
    parts.append(dollars(total.cost_nano))
    return "  ".join(parts)
