"""Which calls of tools a conversation has seen, while a reader walks through it."""

from __future__ import annotations

from providers.translation.base import bad


class CallBook:
    """Which calls a conversation has seen: each id once, and no result without its call."""

    __slots__ = ("_answered", "_called")

    def __init__(self) -> None:
        self._called: set[str] = set()
        self._answered: set[str] = set()

    def call(self, call_id: str, field: str) -> None:
        """Raises ``BodyError`` for an id that was there before."""
        if call_id in self._called:
            raise bad(field, f"tool call ids must be unique: {call_id!r} occurs twice")
        self._called.add(call_id)

    def result(self, call_id: str, field: str) -> None:
        """Raises ``BodyError`` for a result without a call, or a second one."""
        if call_id not in self._called:
            raise bad(field, f"unexpected result: no earlier call has the id {call_id!r}")
        if call_id in self._answered:
            raise bad(field, f"the call {call_id!r} has a result already")
        self._answered.add(call_id)
