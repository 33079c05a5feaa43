"""Requests in flight on one connection: ids minted, answers matched, deadlines kept, progress routed.

Any number at once; none waits for another. A wrong or repeated id is counted and ignored.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

import msgspec

from mcp_hub.seams import Caller, MemberFault, Notification, Reply
from mcp_hub.upstream.deadline import Deadline
from mcp_hub.upstream.jsonrpc import Incoming


class Waiting:
    """One request in flight."""

    __slots__ = ("caller", "deadline", "future")

    def __init__(self, future: asyncio.Future[Reply], caller: Caller | None, deadline: Deadline) -> None:
        self.future = future
        self.caller = caller
        self.deadline = deadline


class Pending:
    """The table of requests in flight. ``abandon(id, reason)`` tells the member of one given up."""

    def __init__(self, server: str, abandon: Callable[[int, str], None]) -> None:
        self._server = server
        self._abandon = abandon
        self._waiting: dict[int, Waiting] = {}
        self._next = 1
        self._lost: MemberFault | None = None
        self.unmatched = 0
        """Answers that belong to no request: wrong, repeated or late ids."""

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def lost(self) -> MemberFault | None:
        return self._lost

    def mint(self) -> int:
        """A fresh id; it is the progress token of its request too."""
        minted = self._next
        self._next += 1
        return minted

    def began(self, request_id: int, timeout: float, caller: Caller | None) -> Waiting:
        """A request that leaves now: its future is the answer, a fault when the deadline passes or the connection
        ends. ``ended`` must follow."""
        deadline = Deadline(timeout, partial(self._expire, request_id, timeout))
        waiting = Waiting(asyncio.get_running_loop().create_future(), caller, deadline)
        self._waiting[request_id] = waiting
        return waiting

    def ended(self, request_id: int, waiting: Waiting) -> None:
        """Nobody waits for it any more; the member is told if it is still at work."""
        waiting.deadline.stop()
        del self._waiting[request_id]
        if waiting.future.cancelled():
            self._abandon(request_id, "The caller left.")

    def answered(self, message: Incoming) -> None:
        """Match a response or an error."""
        waiting = self._find(message.id)
        if waiting is None or waiting.future.done():
            self.unmatched += 1
            return
        reply: Reply | None = message.error if message.kind == "error" else message.result
        if reply is not None:
            waiting.future.set_result(reply)

    def progressed(self, notification: Notification) -> bool:
        """Hand a progress notification to the request it belongs to."""
        token = notification.params.get("progressToken")
        waiting = self._find(bytes(token) if token is not None else None)
        if waiting is None or waiting.caller is None:
            return False
        waiting.deadline.progressed()
        waiting.caller.notified(notification)
        return True

    def first_caller(self) -> Caller | None:
        """The caller of the oldest request in flight that has one."""
        return next((w.caller for w in self._waiting.values() if w.caller is not None), None)

    def only_caller(self) -> Caller | None:
        """The one caller that is in flight, if it is the only one."""
        callers = [w.caller for w in self._waiting.values() if w.caller is not None]
        return callers[0] if len(callers) == 1 else None

    def fail(self, fault: MemberFault) -> None:
        """The connection is gone: every request in flight ends with ``fault``."""
        self._lost = msgspec.structs.replace(fault, sent=False)
        for waiting in self._waiting.values():
            if not waiting.future.done():
                waiting.future.set_result(fault)

    def _find(self, raw: bytes | None) -> Waiting | None:
        if raw is None or not raw.isdigit():
            return None
        return self._waiting.get(int(raw))

    def _expire(self, request_id: int, timeout: float) -> None:
        waiting = self._waiting.get(request_id)
        if waiting is None or waiting.future.done():
            return
        self._abandon(request_id, "The deadline has passed.")
        waiting.future.set_result(
            MemberFault(
                code="member_timeout",
                message=f"{self._server} did not answer within {timeout:g} seconds.",
                stage="answer",
                sent=True,
            )
        )
