"""What each member answered: named in every list's ``_meta`` when something is not well (law 8)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

State = Literal["connecting", "ok", "stale", "failed"]
"""``stale``: failed, but its last known items are still served."""


@dataclass(frozen=True, slots=True)
class MemberOutcome:
    """The state of one member since ``since_ns``."""

    server: str
    state: State
    since_ns: int
    code: str | None = None
    message: str | None = None
    taken_ns: int | None = None
    """When the served items were read."""
    stage: str | None = None
    """Where in the member's life it failed."""

    def render(self, now_ns: int) -> dict[str, Any]:
        """For ``_meta["io.tollkeeper/outcomes"]`` and the operator: ages in seconds."""
        said: dict[str, Any] = {
            "server": self.server,
            "state": self.state,
            "since_s": max(0, now_ns - self.since_ns) // 1_000_000_000,
        }
        if self.code is not None:
            said["code"] = self.code
            said["message"] = self.message
            said["stage"] = self.stage
        if self.state == "stale" and self.taken_ns is not None:
            said["age_s"] = max(0, now_ns - self.taken_ns) // 1_000_000_000
        return said
