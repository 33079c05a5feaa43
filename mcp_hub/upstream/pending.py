"""Requests in flight on one connection: ids minted, answers matched, deadlines kept, progress routed.

Any number at once; none waits for another. A wrong or repeated id is counted and ignored.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from mcp_hub.seams import Caller, MemberFault, Notification, Reply
from mcp_hub.upstream.deadline import Deadline, Deadlines
from mcp_hub.upstream.jsonrpc import Incoming


class Waiting(Deadline):
    """One request in flight, and how long it may be."""

    __slots__ = ("_pending", "caller", "future", "id", "timeout")

    def __init__(self, pending: Pending, request_id: int, timeout: float, caller: Caller | None) -> None:
        super().__init__(pending.deadlines, timeout)
        self._pending = pending
        self.id = request_id
        self.timeout = timeout
        self.caller = caller
        self.future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

    def expire(self) -> None:
        self._pending.expired(self)


class Pending:
    """The table of requests in flight. ``abandon(id, reason)`` tells the member of one given up."""

    def __init__(self, server: str, abandon: Callable[[int, str], None]) -> None:
        self._server = server
        self._abandon = abandon
        self._waiting: dict[int, Waiting] = {}
        self._next = 1
        self._lost: MemberFault | None = None
        self.deadlines = Deadlines()
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
        waiting = self._waiting[request_id] = Waiting(self, request_id, timeout, caller)
        return waiting

    def ended(self, waiting: Waiting) -> None:
        """Nobody waits for it any more; the member is told if it is still at work."""
        waiting.stop()
        del self._waiting[waiting.id]
        if waiting.future.cancelled():
            self._abandon(waiting.id, "The caller left.")

    def answered(self, message: Incoming) -> None:
        """Match a response or an error."""
        waiting = self._find(message.id)
        if waiting is None or waiting.future.done():
            self.unmatched += 1
            return
        if message.reply is not None:
            waiting.future.set_result(message.reply)

    def progressed(self, notification: Notification) -> bool:
        """Hand a progress notification to the request it belongs to."""
        token = notification.params.get("progressToken")
        waiting = self._find(bytes(token) if token is not None else None)
        if waiting is None or waiting.caller is None:
            return False
        waiting.progressed()
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
        self.deadlines.close()
        for waiting in self._waiting.values():
            if not waiting.future.done():
                waiting.future.set_result(fault)

    def expired(self, waiting: Waiting) -> None:
        """The member was silent for too long."""
        if waiting.future.done():
            return
        self._abandon(waiting.id, "The deadline has passed.")
        text = f"{self._server} did not answer within {waiting.timeout:g} seconds."
        waiting.future.set_result(MemberFault(code="member_timeout", message=text, stage="answer", sent=True))

    def _find(self, raw: bytes | None) -> Waiting | None:
        if raw is None or not raw.isdigit():
            return None
        return self._waiting.get(int(raw))
