"""What the hub needs from outside and what its rooms promise one another.

``gateway`` above wires the transport (the seam is ``policies.egress.HttpTransport``); ``policies``
below owns identity and grants. Payloads are opaque (law 6): params and results travel as raw JSON
bytes, split only at the first level, so that unknown fields, key order and number formats survive.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import msgspec

Era = Literal["modern", "legacy"]
"""``modern``: stateless, 2026-07-28 and later. ``legacy``: the initialize handshake, up to 2025-11-25."""

Stage = Literal["start", "handshake", "request", "answer"]
"""Where in a member's life something failed."""

RawObject = Mapping[str, msgspec.Raw]
"""A JSON object decoded one level deep; values are untouched bytes."""

MODERN_VERSION = "2026-07-28"
LEGACY_VERSIONS = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
"""Newest first."""


PROGRESS = "notifications/progress"
LOG = "notifications/message"
CANCELLED = "notifications/cancelled"
UPDATED = "notifications/resources/updated"


class Notification(msgspec.Struct, frozen=True):
    """A message without an answer, from a member: progress, log, list_changed, …"""

    method: str
    params: RawObject


class RpcError(msgspec.Struct, frozen=True):
    """A JSON-RPC error object; ``data`` is raw and optional."""

    code: int
    message: str
    data: msgspec.Raw | None = None


class MemberFault(msgspec.Struct, frozen=True, kw_only=True):
    """The member itself failed (not the tool): what happened, at which stage, worth a retry or not."""

    code: str
    """``member_unavailable``, ``member_timeout``, ``member_lost``, ``member_invalid_reply``, …"""
    message: str
    stage: Stage
    sent: bool
    """False only when the request certainly never reached the member."""


Reply = msgspec.Raw | RpcError | MemberFault
"""How a request to a member ends: the raw ``result``, the member's own error, or a fault."""


class Question(msgspec.Struct, frozen=True):
    """What a member asks its client in the middle of a call: elicitation, sampling, roots."""

    method: str
    params: RawObject
    name: str = ""
    """The member's own name for it, if it has one: the client sees it, and answers by it."""


QuestionAnswer = msgspec.Raw | RpcError
"""The raw result of a question, or why there is none."""


class Caller(Protocol):
    """On whose behalf a request is made: what it may be asked, and where the answer's companions go."""

    @property
    def capabilities(self) -> bytes:
        """What the client declares towards this member, as a raw JSON object; ``{}``: it is never asked."""

    @property
    def log_level(self) -> str | None:
        """From which level on the client wants log messages; ``None``: it did not say."""

    @property
    def mirrored(self) -> Sequence[tuple[str, str]]:
        """Arguments that travel as headers too, where the transport has headers."""

    @property
    def wants_progress(self) -> bool: ...

    def notified(self, notification: Notification) -> None:
        """A notification that belongs to this request."""

    async def ask(self, question: Question) -> QuestionAnswer:
        """Put a question to the client; returns however that ends. Cancelling it withdraws the question."""


class Session(Protocol):
    """One live connection to one member: many requests in flight, none waits for another."""

    era: Era
    protocol_version: str
    capabilities: RawObject
    server_info: msgspec.Raw | None
    instructions: str | None

    async def request(
        self,
        method: str,
        params: RawObject,
        *,
        timeout: float,
        caller: Caller | None = None,
    ) -> Reply:
        """Send one request and wait for its answer.

        ``timeout`` bounds the silence of the member, in seconds: progress begins it anew, and it stands
        still while a question waits for a person. The session mints ids and progress tokens, stamps the
        era's ``_meta`` and headers, and delivers the notifications and questions that belong to this
        request. Cancelling the awaiting task cancels the request at the member as its era and transport
        say.
        """

    async def forgotten(self) -> None:
        """Return when the member no longer knows what it was told: the session is lost, or begun anew."""

    @property
    def in_flight(self) -> int: ...

    async def close(self) -> None: ...
