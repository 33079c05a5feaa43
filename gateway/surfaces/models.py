"""The model endpoints: one ASGI callable per dialect and operation.

Reads the request once, hands the call to the passage, and writes what comes out of the flight. It
decides nothing: identity is the directory's, permission and money are the passage's, the wire is the
dialect's and the executor's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gateway.surfaces.cache_wishes import SAID, SHARED, said_before, said_of, wish_of
from gateway.surfaces.credentials import identify
from gateway.surfaces.fallbacks import with_fallbacks
from gateway.surfaces.http import (
    BodyTooLarge,
    Client,
    ClientGone,
    Departure,
    Field,
    Receive,
    Scope,
    Send,
    answer,
    end_stream,
    headers_from,
    headers_of,
    read_body,
    send_chunk,
    start_stream,
)
from gateway.surfaces.keep_alive import KeepAlive
from gateway.surfaces.runs import marks_of
from policies.flight import Journey, Listener
from policies.identity import Directory, VirtualKey
from policies.ids import new_call_id
from policies.look_up import Follower
from policies.passage import Passage
from policies.refusals import dollars_plain
from policies.strict_json import BodyError
from policies.trip import Settled, Terms
from policies.types import CallContext, CallKind, ModelCall, Refusal
from providers.dialects.base import Dialect, ModelRequest
from providers.executor import ModelExecutor
from providers.replies import HttpReply, StreamHead, StreamReply


@dataclass(frozen=True, slots=True)
class Front:
    """What every surface shares."""

    directory: Directory
    passage: Passage
    clock: Callable[[], int]
    max_body_bytes: int
    terms: Terms
    keep_alive_s: float


class ModelSurface:
    """``POST`` of one dialect's one operation."""

    def __init__(self, dialect: Dialect, executor: ModelExecutor, front: Front) -> None:
        self._dialect = dialect
        self._executor = executor
        self._front = front
        self._kind: CallKind = "count_tokens" if dialect.operation == "count_tokens" else "model"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started_ns = self._front.clock()
        client = Client(scope, receive, send)
        headers = headers_of(scope)
        context = self._context(headers, started_ns)
        key = identify(self._front.directory, headers)
        if isinstance(key, Refusal):
            await self._refuse(client, context, None, "", key)
            return
        request = await self._read(receive, headers)
        if request is None:
            return
        if isinstance(request, Refusal):
            await self._refuse(client, context, key, "", request)
            return
        call = ModelCall(
            context=context,
            operation=self._dialect.operation,
            model=request.model,
            stream=request.stream,
            kind=self._kind,
        )
        query = scope["query_string"].decode("latin-1")
        dispatch = self._executor.dispatch(self._dialect, request, headers, query, context.run)
        wish = wish_of(headers)
        if isinstance(wish, Refusal):
            await self._refuse(client, context, key, request.model, wish)
            return
        passage = self._front.passage
        plan = passage.plan(key, call, dispatch, wish)
        entered = await passage.enter(key, call, dispatch, self._front.terms, plan)
        if isinstance(entered, Refusal):
            await self._answer_refusal(client, context, entered)
            return
        if isinstance(entered, Settled):
            await self._send_reply(client, entered, (_call_id(context), (SAID, said_of(entered.row))))
            return
        said = SHARED if isinstance(entered, Follower) else said_before(plan)
        listener = entered.listen()
        with Departure(client, listener):
            await self._relay(client, entered, listener, (_call_id(context), (SAID, said)))

    async def _relay(
        self, client: Client, flight: Journey[Settled], listener: Listener, own: tuple[Field, ...]
    ) -> None:
        """Write the flight's events, or its finished reply. ``own``: the gate's own headers."""
        send = client.send
        head = await listener.get()
        if listener.left:
            return
        if head is None:
            await self._send_reply(client, await flight.wait(), own)
            return
        if not isinstance(head, StreamHead):
            raise TypeError(f"a stream began with {type(head).__name__}")
        await start_stream(send, head.status, headers_from((*head.headers, *own)))
        with KeepAlive(listener, self._front.keep_alive_s) as alive:
            while (chunk := await listener.get()) is not None:
                if not isinstance(chunk, bytes):
                    raise TypeError(f"a stream went on with {type(chunk).__name__}")
                await send_chunk(send, chunk)
                alive.wrote(chunk)
        if listener.left:
            return
        outcome = (await flight.wait()).outcome
        cut_here = outcome.code in _ENDED_BY_THE_GATE
        await end_stream(
            send, self._dialect.error_event(outcome.code or "", outcome.message or "") if cut_here else b""
        )

    async def _send_reply(self, client: Client, settled: Settled, own: tuple[Field, ...]) -> None:
        reply = settled.outcome.reply
        row = settled.row
        if isinstance(reply, StreamReply):
            await start_stream(client.send, reply.status, headers_from((*reply.headers, *own)))
            await end_stream(client.send, reply.body)
            return
        extra = (
            *own,
            ("x-tollkeeper-cost", dollars_plain(row.cost_nano)),
            ("x-tollkeeper-provider", row.provider or ""),
            ("x-tollkeeper-overhead-us", str(row.overhead_us)),
        )
        if isinstance(reply, HttpReply):
            await answer(client, reply.status, (*reply.headers, *extra), reply.body)
            return
        outcome = settled.outcome
        refusal = Refusal(
            kind="unavailable", code=outcome.code or "internal_error", message=outcome.message or "The call failed."
        )
        _, headers, body = self._dialect.refusal_body(refusal)
        await answer(client, _GATE_STATUS.get(refusal.code, 500), (*headers, *extra), body)

    def _context(self, headers: Mapping[str, str], started_ns: int) -> CallContext:
        run, run_limits, trace_id, agent_id = marks_of(headers)
        return CallContext(
            call_id=new_call_id(started_ns),
            started_ns=started_ns,
            surface=self._dialect.surface,
            run=run,
            run_limits=run_limits,
            trace_id=trace_id,
            agent_id=agent_id,
        )

    async def _read(self, receive: Receive, headers: Mapping[str, str]) -> ModelRequest | Refusal | None:
        """The parsed request, why it was refused, or ``None`` when the client left."""
        unreadable = _unreadable(headers)
        if unreadable is not None:
            return unreadable
        try:
            request = self._dialect.parse(await read_body(headers, receive, self._front.max_body_bytes))
            return with_fallbacks(self._dialect, request, headers)
        except BodyTooLarge as error:
            return _bad_request("body_too_large", str(error))
        except BodyError as error:
            return _bad_request(error.code, error.message, error.field)
        except ClientGone:
            return None

    async def _refuse(
        self, client: Client, context: CallContext, key: VirtualKey | None, model: str, refusal: Refusal
    ) -> None:
        call = ModelCall(context=context, operation=self._dialect.operation, model=model, kind=self._kind)
        self._front.passage.refuse(key, call, refusal)
        await self._answer_refusal(client, context, refusal)

    async def _answer_refusal(self, client: Client, context: CallContext, refusal: Refusal) -> None:
        status, headers, body = self._dialect.refusal_body(refusal)
        await answer(client, status, (*headers, _call_id(context)), body)


_ENDED_BY_THE_GATE = frozenset({"deadline_exceeded", "internal_error"})
"""Ends of a stream that the executor could not announce itself."""
_GATE_STATUS = {"deadline_exceeded": 504, "cancelled": 503}


def _call_id(context: CallContext) -> Field:
    return "x-tollkeeper-call-id", context.call_id


_PLAIN_JSON = "application/json"


def _unreadable(headers: Mapping[str, str]) -> Refusal | None:
    """Why a body of this kind is not read."""
    said = headers.get("content-type", _PLAIN_JSON)
    if said != _PLAIN_JSON:
        content_type = said.partition(";")[0].strip().lower()
        if content_type != _PLAIN_JSON and not content_type.endswith("+json"):
            return _bad_request(
                "unsupported_content_type", f"The content type {content_type!r} is not application/json."
            )
    if "content-encoding" in headers and headers["content-encoding"].lower() != "identity":
        return _bad_request("unsupported_content_encoding", "Send the body without content-encoding.")
    return None


def _bad_request(code: str, message: str, field: str | None = None) -> Refusal:
    return Refusal(kind="request", code=code, message=message, details={} if field is None else {"field": field})
