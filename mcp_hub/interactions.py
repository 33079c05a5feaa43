"""Questions in the middle of a call, in the form that both eras share.

A member of the initialize era asks with a request of its own; a modern one answers ``input_required`` and is
called again with the answers. Here both are ``Question``s
(https://modelcontextprotocol.io/specification/2026-07-28/client/elicitation).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import msgspec

from mcp_hub.capabilities import ELICIT, mode_of
from mcp_hub.error_codes import INTERNAL_ERROR, INVALID_PARAMS, METHOD_NOT_FOUND
from mcp_hub.seams import Question, QuestionAnswer, RpcError

INPUT_REQUIRED = "input_required"
MOST_QUESTIONS = 32
CANCELLED = msgspec.Raw(b'{"action":"cancel"}')

_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class OpenQuestion:
    """A question on its way to a client: an event of a flight."""

    __slots__ = ("_future", "name", "question")

    def __init__(self, name: str, question: Question) -> None:
        self.name = name
        self.question = question
        self._future: asyncio.Future[QuestionAnswer] = asyncio.get_running_loop().create_future()

    @property
    def done(self) -> bool:
        """Answered, or taken back."""
        return self._future.done()

    @property
    def withdrawn(self) -> bool:
        """Ended without an answer of the client."""
        return self._future.cancelled()

    def answer(self, answer: QuestionAnswer) -> None:
        """The first answer counts."""
        if not self._future.done():
            self._future.set_result(answer)

    async def answered(self, seconds: float) -> QuestionAnswer:
        """Wait for the answer; a question that nobody answers in time is taken back."""
        try:
            async with asyncio.timeout(seconds):
                return await self._future
        except TimeoutError:
            return unanswered(self.question)
        finally:
            self._future.cancel()


@dataclass(frozen=True, slots=True)
class InputRequired:
    """A modern member's result that asks: the questions by its own names, and what it wants back."""

    questions: Mapping[str, Question]
    state: msgspec.Raw | None
    """A raw JSON string, returned byte for byte."""


def unanswered(question: Question) -> QuestionAnswer:
    """What a member is told when there is no answer."""
    if question.method == ELICIT:
        return CANCELLED
    return RpcError(INTERNAL_ERROR, f"The client did not answer {question.method}.")


def refused(question: Question) -> RpcError:
    """What a member is told that asks what its caller did not offer."""
    return RpcError(METHOD_NOT_FOUND, f"The client does not offer {question.method}.")


def unsafe_url(question: Question) -> RpcError | None:
    """A user may be sent to web addresses only, never to ``file:``, ``data:`` or a script."""
    if question.method != ELICIT or mode_of(question) != "url":
        return None
    raw = question.params.get("url")
    try:
        parts = urlsplit(msgspec.json.decode(raw, type=str)) if raw is not None else None
    except (msgspec.MsgspecError, ValueError):
        parts = None
    if parts is not None and parts.scheme in ("https", "http") and parts.hostname:
        return None
    return RpcError(INVALID_PARAMS, "An elicitation's url must be an http or https address.")


def read_input_required(result: msgspec.Raw) -> InputRequired | None:
    """The questions of a result; ``None`` for a result that asks nothing. Raises ``ValueError`` for one that
    breaks the rules: neither questions nor state, or too many."""
    if bytes(result).find(b'"input_required"') < 0:
        return None
    try:
        fields = _object(result)
        if bytes(fields.get("resultType", b"")) != b'"input_required"':
            return None
        requests = _object(fields["inputRequests"]) if "inputRequests" in fields else {}
        questions = {name: _question(raw) for name, raw in requests.items()}
    except msgspec.MsgspecError as error:
        raise ValueError(f"its questions cannot be read: {error}") from None
    state = fields.get("requestState")
    if (not questions and state is None) or len(questions) > MOST_QUESTIONS:
        raise ValueError(f"it asks {len(questions)} questions without a state")
    return InputRequired(questions, state)


class _Request(msgspec.Struct):
    method: str
    params: dict[str, msgspec.Raw] = {}


_request = msgspec.json.Decoder(_Request).decode


def _question(raw: msgspec.Raw) -> Question:
    found = _request(raw)
    return Question(found.method, found.params)


class _Result(msgspec.Struct):
    isError: bool = False  # noqa: N815 - the wire's own name


_result = msgspec.json.Decoder(_Result).decode


def is_tool_error(result: msgspec.Raw) -> bool:
    """Whether a tool reports that it failed."""
    if bytes(result).find(b'"isError"') < 0:
        return False
    try:
        return _result(result).isError
    except msgspec.MsgspecError:
        return False


def input_required(questions: Mapping[str, Question], state: str) -> msgspec.Raw:
    """The result that asks a modern client."""
    result: dict[str, Any] = {"resultType": INPUT_REQUIRED}
    if questions:
        result["inputRequests"] = {n: {"method": q.method, "params": q.params} for n, q in questions.items()}
    result["requestState"] = state
    return msgspec.Raw(msgspec.json.encode(result))


def url_questions(error: RpcError) -> dict[str, Question]:
    """The addresses that a member of 2025-11-25 wants visited, as questions of the modern wire, which knows no
    ``elicitationId``."""
    try:
        data = _object(error.data) if error.data is not None else {}
        listed = msgspec.json.decode(data["elicitations"], type=list[dict[str, msgspec.Raw]])
    except (msgspec.MsgspecError, KeyError):
        return {}
    return {
        f"url{number}": Question(ELICIT, {n: raw for n, raw in params.items() if n != "elicitationId"})
        for number, params in enumerate(listed[:MOST_QUESTIONS], 1)
    }


def named(question: Question, server: str) -> Question:
    """The question with its origin in view: a person must see who asks."""
    raw = question.params.get("message")
    params = dict(question.params)
    try:
        text = msgspec.json.decode(raw, type=str) if raw is not None else ""
    except msgspec.MsgspecError:
        text = ""
    if text:
        params["message"] = msgspec.Raw(msgspec.json.encode(f"[{server}] {text}"))
    return Question(question.method, params, question.name)
