"""The one decision that lists, calls, completions, subscriptions and explanations share.

``Admission.decide`` answers whether a principal's grants admit a subject, with the reason. What is
listed is what can be called: nobody else judges. Denied and unknown look the same to a caller; only
``Decision.reason`` (for the operator's ``explain``) tells them apart.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from policies.grants import NOTHING, GrantSet

SubjectKind = Literal["model", "tool", "resource", "prompt"]


class Subject(NamedTuple):
    """What is asked for: ``owner`` is a provider or MCP server, ``name`` its own name for the thing."""

    kind: SubjectKind
    owner: str
    name: str


@dataclass(frozen=True, slots=True)
class Decision:
    allowed: bool
    reason: str


@dataclass(frozen=True)
class Grants:
    """All that one virtual key may use. ``resources``/``prompts`` are ``None`` when nobody declared
    them: then a server's are visible only to a key whose tools grant covers the whole server."""

    models: GrantSet = NOTHING
    tools: GrantSet = NOTHING
    resources: GrantSet | None = None
    prompts: GrantSet | None = None
    providers: dict[str, GrantSet] | None = None
    """The key's provider configurations: provider name to the models it may use there; ``None``: any."""
    _memo: dict[tuple[SubjectKind, str, str], Decision] = field(default_factory=dict, repr=False, compare=False)

    def decide(self, subject: Subject) -> Decision:
        """The decision for ``subject``; remembered, bounded."""
        known = self._memo.get(subject)
        if known is None:
            if len(subject.name) > _MEMO_NAME_LIMIT:
                return self._judge(subject)
            if len(self._memo) >= _MEMO_LIMIT:
                self._memo.clear()
            known = self._memo[subject] = self._judge(subject)
        return known

    def allows(self, kind: SubjectKind, owner: str, name: str) -> bool:
        known = self._memo.get((kind, owner, name))
        return (known or self.decide(Subject(kind, owner, name))).allowed

    def sees_server(self, server: str) -> bool:
        """Whether any grant could concern ``server``: only then may its name or fate be told."""
        prefix = f"{server}/"
        sets = (self.tools, self.resources, self.prompts)
        return any(grants is not None and grants.touches(prefix) for grants in sets)

    def _judge(self, subject: Subject) -> Decision:
        if subject.kind == "model":
            return self._judge_model(subject)
        full = f"{subject.owner}/{subject.name}"
        if subject.kind == "tool":
            return _decision(self.tools.allows(full), "allowed_tools", full)
        declared = self.resources if subject.kind == "resource" else self.prompts
        if declared is not None:
            return _decision(declared.allows(full), f"allowed_{subject.kind}s", full)
        whole = self.tools.covers(f"{subject.owner}/")
        verdict = "covers" if whole else "does not cover"
        return Decision(
            whole, f"no allowed_{subject.kind}s declared; allowed_tools {verdict} the whole server {subject.owner!r}"
        )

    def _judge_model(self, subject: Subject) -> Decision:
        full = f"{subject.owner}/{subject.name}"
        if self.providers is not None:
            there = self.providers.get(subject.owner)
            if there is None:
                return Decision(False, f"the key's providers do not include {subject.owner!r}")
            if not there.allows(subject.name, full):
                return Decision(False, f"the key's provider entry {subject.owner!r} does not allow {subject.name!r}")
        return _decision(self.models.allows(subject.name, full), "allowed_models", full)


_MEMO_LIMIT = 10_000
_MEMO_NAME_LIMIT = 256
"""Longer names are judged anew each time: a caller chooses them, and must not fill the memory with them."""


def _decision(allowed: bool, field_name: str, full: str) -> Decision:
    return Decision(allowed, f"{field_name} {'allow' if allowed else 'do not allow'} {full!r}")
