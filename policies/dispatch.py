"""What the passage and the executors say to each other: targets, attempts, dispatches.

An executor (``providers``, ``mcp_hub``) is handed to the passage as a ``Dispatch``, one per call; the
passage hands it an ``Attempt`` per try, on which the executor reports what happens.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from policies.caching.vocabulary import Answerable, Bypass, Kept, Replayed
from policies.flight import Flight
from policies.identity import VirtualKey
from policies.pricing import Price
from policies.runs import ToolUseIndex
from policies.tiers import Tier
from policies.types import Call, Estimate, Outcome, Refusal, Usage

RetryReason = Literal["other_target", "other_key", "retry", "fallback"]
Progress = Literal["unsent", "sent", "answering"]


@dataclass(frozen=True, slots=True)
class Target:
    """Where an attempt may go: a provider and its model, or an MCP server and its tool."""

    owner: str
    name: str
    price: Price
    tiers: tuple[Tier, ...] = ()
    """Limits of the target itself, and of this key at this target."""
    account: str = ""
    """Which of the provider's keys; empty where it has one."""


@dataclass(frozen=True, slots=True)
class Following:
    """Where a call goes after a failure: the first of ``targets`` with room, after ``pause_s`` seconds."""

    targets: Sequence[Target]
    pause_s: float = 0.0
    reason: RetryReason = "other_target"


class Attempt:
    """One try of a call at one target: what the executor reports while it works.

    The executor keeps ``progress`` and ``usage`` current, because a cancellation may end it at any
    await and the passage settles from them.
    """

    __slots__ = (
        "_flight",
        "_index",
        "answered_ns",
        "cache",
        "cache_id",
        "call",
        "committed",
        "covered_bytes",
        "first_byte_ns",
        "grow",
        "keep_bytes",
        "key",
        "number",
        "output_bytes",
        "progress",
        "reason",
        "sent_ns",
        "target",
        "usage",
    )

    def __init__(self, key: VirtualKey, call: Call, number: int, target: Target) -> None:
        self.key = key
        self.call = call
        self.number = number
        self.target = target
        self.progress: Progress = "unsent"
        self.usage: Usage | None = None
        self.output_bytes = 0
        self.committed = False
        self.covered_bytes = 0
        """Bytes of output that the hold covers."""
        self.grow: Callable[[], Awaitable[bool]] | None = None
        self.reason: RetryReason | None = None
        """Why it was made, if it is not the first."""
        self.cache: str | None = None
        """What the cache said of the call, for its row."""
        self.cache_id: str | None = None
        self.keep_bytes = 0
        """An answer of at most these bytes may be kept: the executor hands it over in its outcome."""
        self.sent_ns = 0
        self.first_byte_ns = 0
        self.answered_ns = 0
        self._flight: Flight[Any] | None = None
        self._index: ToolUseIndex | None = None

    def fly(self, flight: Flight[Any], index: ToolUseIndex) -> None:
        self._flight = flight
        self._index = index

    def emit(self, event: object, size: int = 0) -> None:
        """Hand an event to the listeners. From now on no other target may be tried."""
        self.committed = True
        if self._flight is not None:
            self._flight.emit(event, size)

    @property
    def heard(self) -> bool:
        """Somebody listens now."""
        return self._flight is not None and self._flight.heard

    async def room(self) -> None:
        """Wait until the slowest listener has caught up."""
        if self._flight is not None:
            await self._flight.room()

    async def cover(self) -> bool:
        """The output has outgrown what is held: hold more. False: the stream is to be cut, because a
        budget is used up and the operator wants it so."""
        return self.grow is None or await self.grow()

    def tool_use(self, tool_use_id: str) -> None:
        """The answer asks for a tool call: remember who asked, so that the call finds its parent."""
        if self._index is not None:
            self._index.remember(self.key.principal.key, tool_use_id, self.call.context)


class Dispatch(Protocol):
    """One call, ready to leave: what a surface makes around an executor."""

    def admit(self, key: VirtualKey) -> Refusal | None:
        """Whether ``key`` may make this call (``policies.admission`` decides)."""

    def route(self, key: VirtualKey) -> Sequence[Target] | Refusal:
        """Where it may go, best first; never empty."""

    def estimate(self, target: Target) -> Estimate:
        """What it may use there."""

    def answerable(self, key: VirtualKey) -> Answerable | Bypass:
        """Everything of the call that can change its answer, or why its answers are not kept."""

    def replay(self, kept: Kept) -> Replayed | None:
        """A kept answer as this call wants it; ``None`` if it cannot be brought into that form."""

    def following(self, attempt: Attempt, outcome: Outcome) -> Following | None:
        """Where to go after a failure that emitted nothing; ``None``: nowhere."""

    async def run(self, attempt: Attempt) -> Outcome:
        """Make the attempt. Returns however it ends; raises only ``CancelledError``."""
