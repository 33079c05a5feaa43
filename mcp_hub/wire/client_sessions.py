"""Sessions of clients of the initialize era: small, bound to their key, bounded, expired when idle.

An id is 128 random bits, never a credential: another key's id is answered exactly like an unknown one.
Clients rarely end their sessions (Claude Code never does), so the idle ones must go by themselves: when
a new one needs room, or when they are asked for too late.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from mcp_hub.capabilities import NOTHING, Profile
from mcp_hub.interactions import OpenQuestion
from mcp_hub.resource_watch import Watch
from mcp_hub.seams import QuestionAnswer
from mcp_hub.subscriptions import Subscription
from policies.flight import Journey
from policies.identity import VirtualKey

PER_KEY_SHARE = 4
"""One key may hold at most a quarter of all sessions."""


@dataclass(frozen=True, slots=True)
class ClientFacts:
    """What a client said of itself at ``initialize``."""

    version: str
    profile: Profile = NOTHING


class ClientSession:
    """What is remembered of one client between its requests."""

    __slots__ = (
        "_asked",
        "_flights",
        "_questions",
        "key_name",
        "log_level",
        "notices",
        "profile",
        "seen_ns",
        "server",
        "session_id",
        "version",
        "watches",
    )

    def __init__(self, session_id: str, key_name: str, server: str | None, client: ClientFacts, now_ns: int) -> None:
        version = client.version
        self.profile = client.profile
        self.session_id = session_id
        self.key_name = key_name
        self.server = server
        self.version = version
        self.seen_ns = now_ns
        self.log_level: str | None = None
        self._flights: dict[bytes, Journey[Any]] = {}
        self.watches: dict[str, Watch] = {}
        """Resources that the client wants to hear of, by URI."""
        self.notices: Subscription | None = None
        """Where notices go while a GET stream is open."""
        self._questions: dict[bytes, OpenQuestion] = {}
        self._asked = 0

    @property
    def busy(self) -> bool:
        """A stream is open, or a call is under way."""
        return self.notices is not None or any(not flight.done for flight in self._flights.values())

    def departs(self, request_id: bytes, flight: Journey[Any]) -> None:
        """A call is under way, until it ends: also when the client has lost its stream, it may cancel it."""
        for known in [known for known, flown in self._flights.items() if flown.done]:
            del self._flights[known]
        self._flights[request_id] = flight

    def answered_call(self, request_id: bytes) -> None:
        """The client has its answer: an idle session must not hold on to its last one."""
        flight = self._flights.get(request_id)
        if flight is not None and flight.done:
            del self._flights[request_id]

    def cancel(self, request_id: bytes) -> None:
        """End exactly this call, if it is under way."""
        flight = self._flights.get(request_id)
        if flight is not None:
            flight.cancel()

    def ask(self, question: OpenQuestion) -> str:
        """Number a question for this client; its answer comes in a POST of its own."""
        self._asked += 1
        request_id = f"tollkeeper-{self._asked}"
        self._questions[msgspec.json.encode(request_id)] = question
        return request_id

    def answered(self, request_id: bytes, answer: QuestionAnswer) -> None:
        """The client's answer; to a question that is not open it is ignored."""
        question = self._questions.pop(request_id, None)
        if question is not None:
            question.answer(answer)

    def forget(self, request_ids: Iterable[str]) -> None:
        """Questions of a call that has ended."""
        for request_id in request_ids:
            self._questions.pop(msgspec.json.encode(request_id), None)


class ClientSessions:
    """All sessions, oldest use first."""

    def __init__(self, limit: int, idle_ns: int, clock: Callable[[], int]) -> None:
        self._limit = limit
        self._idle_ns = idle_ns
        self._clock = clock
        self._sessions: OrderedDict[str, ClientSession] = OrderedDict()
        self._per_key: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def open(self, key: VirtualKey, server: str | None, client: ClientFacts) -> ClientSession | None:
        """A new session, or ``None`` when there is no room: every session, or every one that this key
        may have, is in use. Idle ones make room, the longest idle first."""
        now = self._clock()
        self._expire(now)
        name = key.principal.key
        if len(self._sessions) >= self._limit and not self._evict(None):
            return None
        if self._per_key.get(name, 0) >= max(1, self._limit // PER_KEY_SHARE) and not self._evict(name):
            return None
        session = ClientSession(secrets.token_hex(16), name, server, client, now)
        self._sessions[session.session_id] = session
        self._per_key[name] = self._per_key.get(name, 0) + 1
        return session

    def find(self, session_id: str, key: VirtualKey, server: str | None) -> ClientSession | None:
        """The session, if it is this key's, of this endpoint, and alive."""
        session = self._sessions.get(session_id)
        if session is None or session.key_name != key.principal.key or session.server != server:
            return None
        now = self._clock()
        if now - session.seen_ns > self._idle_ns and not session.busy:
            self.close(session)
            return None
        session.seen_ns = now
        self._sessions.move_to_end(session_id)
        return session

    def close(self, session: ClientSession) -> None:
        """End a session; its calls under way go on to their end."""
        if self._sessions.pop(session.session_id, None) is None:
            return
        left = self._per_key.get(session.key_name, 1) - 1
        if left > 0:
            self._per_key[session.key_name] = left
        else:
            self._per_key.pop(session.key_name, None)
        for watch in session.watches.values():
            watch.close()

    def _expire(self, now: int) -> None:
        """Close what has been idle too long; stops at the first that has not."""
        for session in list(self._sessions.values()):
            if now - session.seen_ns <= self._idle_ns:
                return
            if not session.busy:
                self.close(session)

    def _evict(self, key_name: str | None) -> bool:
        for session in self._sessions.values():
            if not session.busy and (key_name is None or session.key_name == key_name):
                self.close(session)
                return True
        return False
