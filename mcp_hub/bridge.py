"""The four era cells of a call in whose middle the member asks something.

| client | legacy member (asks with a request) | modern member (answers ``input_required``) |
|---|---|---|
| legacy | the question goes to the client on the call's own stream | the same, then the member is called again |
| modern | the call waits here; the client is told to come again | passed on, with the member's state sealed |

A member can ask only what its caller declared. Sampling may be answered by the gate itself
(``mcp.sampling: gateway``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import msgspec

from mcp_hub.capabilities import ELICIT, SAMPLE, required
from mcp_hub.error_codes import MISSING_CAPABILITY, URL_ELICITATION_REQUIRED
from mcp_hub.interactions import (
    InputRequired,
    OpenQuestion,
    input_required,
    is_tool_error,
    named,
    read_input_required,
    refused,
    unanswered,
    unsafe_url,
    url_questions,
)
from mcp_hub.request_state import CallState, RequestStates
from mcp_hub.seams import Era, MemberFault, Question, QuestionAnswer, RawObject, Reply, RpcError
from mcp_hub.way import Way
from policies.dispatch import Attempt
from policies.identity import VirtualKey
from policies.types import CallContext, Outcome

MOST_ROUNDS = 10
QUESTION_S = 600.0
"""How long one question may stay open."""

Sampler = Callable[[VirtualKey, CallContext, Question], Awaitable[QuestionAnswer]]
Send = Callable[[Attempt, RawObject], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class BridgeParts:
    """What the bridges of all calls share. ``sampler``: answers sampling requests in the client's stead."""

    states: RequestStates
    sampler: Sampler | None = None


class Client(msgspec.Struct, frozen=True):
    """What a call must know of the client that makes it."""

    era: Era
    log_level: str | None = None
    wants_progress: bool = False
    endpoint: str | None = None
    """The one server whose endpoint was called; ``None``: that of all, so that a question must say whose it is."""


class Round(msgspec.Struct, frozen=True):
    """Which round of a call this is: the first, or one that continues with the client's ``responses``."""

    bound: Callable[[], bytes]
    """What a state of this call is bound to; asked for only when there is something to seal."""
    resumed: CallState | None = None
    responses: RawObject = {}

    @property
    def continues(self) -> bool:
        return self.resumed is not None or bool(self.responses)


class Bridge:
    """The questions of one call."""

    __slots__ = (
        "_asked_before",
        "_client",
        "_given",
        "_missing",
        "_parts",
        "_profile",
        "_round",
        "member_era",
        "open",
        "questioned",
    )

    def __init__(self, parts: BridgeParts, way: Way, client: Client, round_: Round) -> None:
        self._parts = parts
        self._profile = way.profile
        self._client = client
        self._round = round_
        self._asked_before = 0
        self._missing: str | None = None
        self._given = dict(round_.responses) if client.era == "modern" else {}
        self.member_era = way.era
        self.open: dict[str, OpenQuestion] = {}
        self.questioned = False
        """The member asked something: its answer is this caller's alone."""

    async def rounds(self, attempt: Attempt, params: RawObject, send: Send) -> Reply | Outcome:
        """Call the member, again with every set of answers, until it is done or the client has the word."""
        sent = self._first(params) if self._round.continues else params
        for _ in range(MOST_ROUNDS):
            reply = await send(attempt, sent)
            try:
                asked = self._asked(reply)
            except ValueError as broken:
                return _invalid(str(broken))
            if asked is None:
                return reply if self._missing is None else self._judged(self._missing, reply)
            answers = await self._answers(attempt, asked)
            if isinstance(answers, Outcome | MemberFault | RpcError):
                return answers
            sent = _again(params, answers, asked.state)
        return _invalid(f"it asked more than {MOST_ROUNDS} times")

    async def ask(self, attempt: Attempt, question: Question) -> QuestionAnswer:
        """Put one question to whoever answers it."""
        self.questioned = True
        if not self._profile.allows(question):
            self._missing = question.method
            return refused(question)
        unsafe = unsafe_url(question)
        if unsafe is not None:
            return unsafe
        if question.method == SAMPLE and self._parts.sampler is not None:
            return await self._parts.sampler(attempt.key, attempt.call.context, question)
        if self._client.era == "legacy" and not attempt.heard:
            return unanswered(question)
        self._asked_before += 1
        name = question.name if question.name and question.name not in self.open else f"q{self._asked_before}"
        given = self._given.pop(name, None)
        if given is not None:
            return given
        opened = OpenQuestion(name, self._shown(attempt, question))
        self.open[opened.name] = opened
        attempt.emit(opened)
        try:
            return await opened.answered(QUESTION_S)
        finally:
            self.open.pop(opened.name, None)

    def _first(self, params: RawObject) -> RawObject:
        """The first request of a round that continues: a resumed call goes on where it was."""
        state = self._round.resumed
        if self.member_era == "legacy":
            return params
        if state is None or state.kind != "relay":
            return _again(params, self._round.responses, None)
        own = {name: msgspec.Raw(raw.encode()) for name, raw in state.answers.items()}
        inner = msgspec.Raw(state.inner.encode()) if state.inner is not None else None
        return _again(params, {**self._round.responses, **own}, inner)

    def _judged(self, missing: str, reply: Reply) -> Reply:
        """A call that failed after its member had asked for what a modern client did not declare has failed for
        that reason."""
        if self._client.era == "legacy":
            return reply
        failed = isinstance(reply, RpcError) or (isinstance(reply, msgspec.Raw) and is_tool_error(reply))
        if not failed:
            return reply
        data = msgspec.Raw(msgspec.json.encode({"requiredCapabilities": required(missing)}))
        return RpcError(MISSING_CAPABILITY, f"The tool needs a client that offers {missing}", data)

    def _asked(self, reply: Reply) -> InputRequired | None:
        """What the member wants to know before it goes on. Raises ``ValueError``."""
        if isinstance(reply, msgspec.Raw):
            return None if self.member_era == "legacy" else read_input_required(reply)
        if isinstance(reply, RpcError) and reply.code == URL_ELICITATION_REQUIRED:
            modern = self._client.era == "modern" and "url" in self._profile.features
            questions = url_questions(reply) if modern else {}
            return InputRequired(questions, None) if questions else None
        return None

    async def _answers(
        self, attempt: Attempt, asked: InputRequired
    ) -> Mapping[str, msgspec.Raw] | Outcome | MemberFault | RpcError:
        """The answers, or how the call ends for now."""
        self.questioned = True
        for question in asked.questions.values():
            if not self._profile.allows(question):
                return _invalid(f"it asks for {question.method}, which its caller does not offer")
            unsafe = unsafe_url(question)
            if unsafe is not None:
                return _invalid(unsafe.message)
        if self._client.era == "legacy":
            return await self._gathered(attempt, asked.questions)
        own = self._own(asked.questions)
        answered = await self._gathered(attempt, own)
        if isinstance(answered, RpcError) or len(own) == len(asked.questions) > 0:
            return answered
        rest = {n: self._shown(attempt, q) for n, q in asked.questions.items() if n not in own}
        again = self.member_era == "legacy"
        state = self._parts.states.relay(self._round.bound(), asked.state, answered, again=again)
        reply = input_required(rest, state)
        return Outcome(kind="ok", reply=reply, stop_reason="input_required", unfinished=True)

    def _shown(self, attempt: Attempt, question: Question) -> Question:
        """The question as the client sees it: a person must see who asks."""
        many = self._client.endpoint is None
        return named(question, attempt.target.owner) if many and question.method == ELICIT else question

    def _own(self, questions: Mapping[str, Question]) -> dict[str, Question]:
        """What the gate answers itself."""
        if self._parts.sampler is None:
            return {}
        return {name: question for name, question in questions.items() if question.method == SAMPLE}

    async def _gathered(self, attempt: Attempt, questions: Mapping[str, Question]) -> dict[str, msgspec.Raw] | RpcError:
        """All answers; one that cannot be had ends the call."""
        answers = await asyncio.gather(*(self.ask(attempt, question) for question in questions.values()))
        failed = next((answer for answer in answers if isinstance(answer, RpcError)), None)
        if failed is not None:
            return failed
        return {
            name: answer for name, answer in zip(questions, answers, strict=True) if isinstance(answer, msgspec.Raw)
        }


def _again(params: RawObject, answers: Mapping[str, msgspec.Raw], state: msgspec.Raw | None) -> RawObject:
    """The same request with the answers; a state is returned exactly, and only if there was one."""
    sent = dict(params)
    if answers:
        sent["inputResponses"] = msgspec.Raw(msgspec.json.encode(answers))
    if state is not None:
        sent["requestState"] = state
    return sent


def _invalid(reason: str) -> MemberFault:
    text = f"The server's question cannot be passed on: {reason}."
    return MemberFault(code="member_invalid_reply", message=text, stage="answer", sent=True)
