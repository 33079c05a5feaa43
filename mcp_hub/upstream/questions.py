"""Finds the call that a member's question belongs to, and carries the answer back.

On Streamable HTTP a question comes on the stream of its call. On standard streams, on HTTP+SSE and on a
GET stream it comes without any sign of the call that caused it. Then:

- one call in flight that may be asked: it is that call's question;
- none (a server asks for roots right after its start): the next such call's;
- several: the question waits, and every call that is *answered* meanwhile is out of the question, since a
  call that waits for an answer cannot end. When one is left, the question is its own. When that does not
  happen in ``HOLD_S``, or a candidate is abandoned, or two questions claim the one call that is left, it is
  refused: a question never reaches a wrong caller.

A connection that was once asked on this way takes one such call at a time from then on (``StreamSession``).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

import msgspec

from mcp_hub.capabilities import QUESTIONS
from mcp_hub.error_codes import INTERNAL_ERROR, METHOD_NOT_FOUND
from mcp_hub.seams import Caller, MemberFault, Question, RpcError
from mcp_hub.upstream.deadline import Deadline
from mcp_hub.upstream.jsonrpc import Incoming, encode_error, encode_result

HOLD_S = 30.0
_WORD = re.compile(rb'"([A-Za-z_][A-Za-z0-9_.-]{0,63})"')
MOST_OPEN = 32
"""Questions that one connection may have open or waiting."""

Respond = Callable[[bytes], None]


class Asked:
    """One call in flight that may be asked."""

    __slots__ = ("caller", "deadline", "open")

    def __init__(self, caller: Caller, deadline: Deadline) -> None:
        self.caller = caller
        self.deadline = deadline
        self.open: set[bytes] = set()


class _Held:
    """A question whose call is not known yet."""

    __slots__ = ("candidates", "message", "timer")

    def __init__(self, message: Incoming, candidates: set[int], timer: asyncio.TimerHandle) -> None:
        self.message = message
        self.candidates = candidates
        self.timer = timer


class Questions:
    """All questions of one connection. ``respond`` writes a message to the member; ``declared``: the connection
    said that its client can be asked something."""

    def __init__(self, respond: Respond, *, declared: bool) -> None:
        self._respond = respond
        self._declared = declared
        self._calls: dict[int, Asked] = {}
        self._tasks: dict[bytes, asyncio.Task[None]] = {}
        self._held: list[_Held] = []
        self.seen = False
        """The member has asked something on this connection without saying for which call."""

    def began(self, request_id: int, caller: Caller, deadline: Deadline) -> None:
        """A call that may be asked is in flight; a question that came before any takes it."""
        self._calls[request_id] = Asked(caller, deadline)
        if self._held:
            for held in [h for h in self._held if not h.candidates]:
                self._deliver_held(held, request_id)

    def ended(self, request_id: int, *, answered: bool) -> None:
        """A call has ended: its own questions with it, and others may now know their call."""
        call = self._calls.pop(request_id, None)
        if call is None:
            return
        for question_id in call.open:
            self._withdraw(question_id)
        if not self._held:
            return
        concerned = [h for h in self._held if request_id in h.candidates]
        for held in concerned:
            held.candidates.discard(request_id)
        if not answered:
            self._refuse_held(concerned)
            return
        for left in list(self._calls):
            claims = [h for h in self._held if h.candidates == {left}]
            if len(claims) == 1:
                self._deliver_held(claims[0], left)
            else:
                self._refuse_held(claims)

    def received(self, message: Incoming, request_id: int | None = None) -> None:
        """The member asks; ``request_id`` where the transport says for which call."""
        question_id = message.id or b"null"
        if message.method == "ping":
            self._respond(encode_result(question_id, b"{}"))
            return
        if message.method not in QUESTIONS:
            self._refuse(question_id, METHOD_NOT_FOUND, f"The client does not offer {message.method}.")
            return
        if question_id in self._tasks or len(self._tasks) + len(self._held) >= MOST_OPEN:
            self._refuse(question_id, INTERNAL_ERROR, "Too many questions are open.")
            return
        if request_id is not None:
            self._deliver_or_refuse(message, request_id)
            return
        self.seen = True
        if len(self._calls) == 1:
            self._deliver_or_refuse(message, next(iter(self._calls)))
            return
        if not self._declared:
            self._refuse(question_id, METHOD_NOT_FOUND, f"The client does not offer {message.method}.")
            return
        loop = asyncio.get_running_loop()
        timer = loop.call_later(HOLD_S, self._expire, question_id)
        self._held.append(_Held(message, set(self._calls), timer))

    def cancelled(self, question_id: bytes) -> None:
        """The member takes a question back."""
        self._withdraw(question_id)

    def close(self) -> None:
        """The connection is gone."""
        for task in self._tasks.values():
            task.cancel()
        for held in self._held:
            held.timer.cancel()
        self._held.clear()

    def _deliver_or_refuse(self, message: Incoming, request_id: int) -> None:
        call = self._calls.get(request_id)
        if call is None:
            self._refuse(message.id or b"null", METHOD_NOT_FOUND, f"The client does not offer {message.method}.")
            return
        question_id = message.id or b"null"
        call.open.add(question_id)
        task = asyncio.get_running_loop().create_task(self._ask(call, question_id, message), name="question")
        self._tasks[question_id] = task

    async def _ask(self, call: Asked, question_id: bytes, message: Incoming) -> None:
        call.deadline.pause()
        try:
            answer = await call.caller.ask(Question(message.method or "", message.params, _name(question_id)))
        finally:
            call.open.discard(question_id)
            self._tasks.pop(question_id, None)
            call.deadline.resume()
        if isinstance(answer, RpcError):
            self._refuse(question_id, answer.code, answer.message)
        else:
            self._respond(encode_result(question_id, bytes(answer)))

    def _deliver_held(self, held: _Held, request_id: int) -> None:
        held.timer.cancel()
        self._held.remove(held)
        self._deliver_or_refuse(held.message, request_id)

    def _refuse_held(self, refused: list[_Held]) -> None:
        for held in refused:
            held.timer.cancel()
            self._held.remove(held)
            text = "The gate cannot tell which of several calls this question belongs to."
            self._refuse(held.message.id or b"null", INTERNAL_ERROR, text)

    def _expire(self, question_id: bytes) -> None:
        self._refuse_held([h for h in self._held if h.message.id == question_id])

    def _withdraw(self, question_id: bytes) -> None:
        task = self._tasks.get(question_id)
        if task is not None:
            task.cancel()

    def _refuse(self, question_id: bytes, code: int, text: str) -> None:
        self._respond(encode_error(question_id, code, text))


def _name(question_id: bytes) -> str:
    """A member that names its requests in words sees its words kept."""
    found = _WORD.fullmatch(question_id)
    return found[1].decode() if found else ""


def cancelled_request(params: object) -> bytes:
    """The id that a ``notifications/cancelled`` of a member names."""
    raw = params.get("requestId") if isinstance(params, dict) else None
    return bytes(raw) if isinstance(raw, msgspec.Raw) else b""


def busy(server: str, seconds: float) -> MemberFault:
    """Another call of the same caller holds the connection, probably with an open question."""
    text = f"{server} serves one call of this key at a time, and another one has held it for {seconds:g} seconds."
    return MemberFault(code="member_busy", message=text, stage="request", sent=False)
