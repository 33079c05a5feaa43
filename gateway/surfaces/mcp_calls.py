"""Calls of the MCP endpoint: into the passage, and through the questions that a member may ask on the way.

A client of the initialize era is asked on the stream of its call, and answers with a POST of its own. A modern
client gets ``input_required``: if the member is modern too, the call has ended for now and the next round calls
again; if not, the call waits here (``mcp_hub.parking``) for the round that brings the answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

from gateway.surfaces.cache_wishes import SAID, SHARED, said_before, said_of, wish_of
from gateway.surfaces.mcp_answers import Answer, Asked, of_refusal, of_result, of_settled
from gateway.surfaces.mcp_exchange import Exchange, give
from gateway.surfaces.mcp_requests import Asker, McpRequests
from gateway.surfaces.mcp_streams import Asking, CallStream
from mcp_hub.bridge import BridgeParts, Client, Round
from mcp_hub.dispatch import MemberCall, MemberDispatch
from mcp_hub.error_codes import INVALID_PARAMS
from mcp_hub.hub import Hub
from mcp_hub.interactions import OpenQuestion, input_required, unanswered
from mcp_hub.param_headers import disagreement
from mcp_hub.parking import ParkingLot
from mcp_hub.request_state import ROUND_FIELDS, CallState, bound_to
from mcp_hub.seams import CANCELLED
from mcp_hub.way import ToolPrice
from mcp_hub.wire import modern
from mcp_hub.wire.client_sessions import ClientSession
from mcp_hub.wire.messages import Message, WireError, notification_bytes, request_bytes, string_of
from policies.caching.vocabulary import OFF
from policies.flight import Flight
from policies.look_up import Follower
from policies.passage import Passage
from policies.refusals import tool_unknown
from policies.trip import Settled, Terms
from policies.types import Refusal, ToolCall

GATHER_S = 0.02
_NO_RESPONSES: Mapping[str, msgspec.Raw] = {}
_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


@dataclass(frozen=True)
class CallParts:
    """What calls are made with."""

    hub: Hub
    requests: McpRequests
    passage: Passage
    bridge: BridgeParts
    parking: ParkingLot
    price: Callable[[], ToolPrice]
    deadline_s: float


class _Making(msgspec.Struct, frozen=True, eq=False):
    """A call that is being made: who, what, and how it is answered. ``session``: that of a client of the initialize
    era."""

    exchange: Exchange
    asker: Asker
    asked: Asked
    message: Message
    call: MemberCall
    session: ClientSession | None


class McpCalls:
    """Everything that reaches a member."""

    def __init__(self, parts: CallParts) -> None:
        self._parts = parts
        # A modern client that leaves cancels; a legacy one's disconnect is not a cancellation.
        self._modern_terms = Terms("cancel", parts.deadline_s)
        self._legacy_terms = Terms("keep", parts.deadline_s)

    async def call(
        self, exchange: Exchange, asker: Asker, message: Message, request_id: bytes, session: ClientSession | None
    ) -> None:
        """One request for a member; ``session`` is that of a client of the initialize era."""
        parts = self._parts
        level = session.log_level if session is not None else modern.wanted_level(message)
        client = Client(asker.era, level, "progressToken" in message.meta, asker.server)
        call = parts.requests.call(asker, message, client)
        if call.way is None:
            await parts.hub.ready(asker)
            call = parts.requests.call(asker, message, client)
        if session is None and call.way is not None and call.way.origin.mirrors:
            wrong = disagreement(call.way.origin.mirrors, call.params.get("arguments"), exchange.headers)
            if wrong is not None:
                raise modern.mismatch(wrong, request_id)
        asked = Asked(asker.era, request_id, call.kind, call.asked, level, call.renamed)

        def bound() -> bytes:
            return bound_to(asker.key.principal.key, asker.server, message.method or "", message.params)

        making = _Making(exchange, asker, asked, message, call, session)
        if ROUND_FIELDS.isdisjoint(message.params):
            await self._make(making, Round(bound))
            return
        state = self._state(message, bound) if session is None else None
        if state is not None and state.kind == "park":
            settled = await self._resume(exchange, asked, message, state, bound)
            self._remember(asker, call, settled)
            return
        await self._make(making, Round(bound, state, _responses(message)))

    async def _make(self, making: _Making, round_: Round) -> None:
        """The call itself: through the passage, and what comes of it to the client."""
        parts, session = self._parts, making.session
        exchange, asked, call = making.exchange, making.asked, making.call
        entry = _entry(call, parts.requests, making.asker, making.message, exchange)
        if call.way is None:
            refused = parts.passage.refuse(exchange.key, entry, tool_unknown(call.asked))
            await give(exchange, of_refusal(asked, refused))
            return
        dispatch = MemberDispatch(parts.bridge, parts.hub, call, call.way, parts.price(), round_)
        if round_.resumed is not None and parts.bridge.states.spend(round_.resumed):
            entry = msgspec.structs.replace(entry, continues=True)
        terms = self._modern_terms if session is None else self._legacy_terms
        wish = wish_of(exchange.headers)
        if isinstance(wish, Refusal):
            await give(exchange, of_refusal(asked, parts.passage.refuse(exchange.key, entry, wish)))
            return
        plan = parts.passage.plan(exchange.key, entry, dispatch, wish)
        entered = await parts.passage.enter(exchange.key, entry, dispatch, terms, plan)
        settled: Settled | None
        if isinstance(entered, Refusal):
            await give(exchange, of_refusal(asked, entered))
            return
        if isinstance(entered, Settled):
            await give(exchange, of_settled(asked, entered), (SAID, said_of(entered.row)))
            settled = entered
        else:
            said = None if plan == OFF else SHARED if isinstance(entered, Follower) else said_before(plan)
            stream = CallStream(exchange, asked, making.message, () if said is None else ((SAID, said),))
            asking: Asking = _Unasked()
            if isinstance(entered, Flight):
                returning = _ByReturning(parts, exchange, asked, entered, dispatch, round_.bound)
                asking = returning if session is None else _ByRequest(session, stream)
            if session is not None:
                session.departs(asked.request_id, entered)
            settled = await stream.relay(entered, asking)
            if session is not None:
                session.answered_call(asked.request_id)
        self._remember(making.asker, call, settled)

    async def _resume(
        self, exchange: Exchange, asked: Asked, message: Message, state: CallState, bound: Callable[[], bytes]
    ) -> Settled | None:
        """The round that continues a call that waits: identified and admitted anew, but not counted again."""
        parked = self._parts.parking.take(state.park, exchange.key.principal.key)
        if parked is None:
            raise _bad_state(message)
        refusal = parked.dispatch.admit(exchange.key)
        if refusal is not None:
            parked.flight.cancel()
            await give(exchange, of_refusal(asked, refusal))
            return None
        responses = _responses(message)
        for name, question in parked.dispatch.open_questions.items():
            if name in responses:
                question.answer(responses[name])
        asking = _ByReturning(self._parts, exchange, asked, parked.flight, parked.dispatch, bound)
        still = next((q for q in parked.dispatch.open_questions.values() if not q.done), None)
        answer = await asking.put(still) if still is not None else None
        if answer is not None:
            await give(exchange, answer)
            return None
        stream = CallStream(exchange, asked, message)
        parked.flight.on_abandon = "cancel"
        return await stream.relay(parked.flight, asking)

    def _state(self, message: Message, bound: Callable[[], bytes]) -> CallState | None:
        """The state that a later round brings. Raises ``WireError`` for one that is not this call's."""
        raw = message.params.get("requestState")
        if raw is None:
            return None
        state = self._parts.bridge.states.open(string_of(raw) or "", bound())
        if state is None:
            raise _bad_state(message)
        return state

    def _remember(self, asker: Asker, call: MemberCall, settled: Settled | None) -> None:
        """Links that the client now has lead to their server."""
        reply = settled.outcome.reply if settled is not None else None
        if isinstance(reply, msgspec.Raw) and call.way is not None and call.kind in ("tool", "prompt"):
            self._parts.hub.handed.remember(asker.key.principal.key, call.way.origin.server, reply)


class _ByReturning:
    """Asks a modern client: the call waits, and the client is told to come again."""

    def __init__(
        self,
        parts: CallParts,
        exchange: Exchange,
        asked: Asked,
        flight: Flight[Settled],
        dispatch: MemberDispatch,
        bound: Callable[[], bytes],
    ) -> None:
        self._parts = parts
        self._exchange = exchange
        self._asked = asked
        self._flight = flight
        self._dispatch = dispatch
        self._bound = bound

    async def put(self, question: OpenQuestion) -> Answer | None:
        # What the member asks at the same time is put to the person at the same time.
        await asyncio.sleep(GATHER_S)
        place = self._parts.parking.park(self._exchange.key.principal.key, self._flight, self._dispatch)
        if place is None:
            question.answer(unanswered(question.question))
            return None
        waiting = {name: q.question for name, q in self._dispatch.open_questions.items() if not q.done}
        return of_result(self._asked, input_required(waiting, self._parts.bridge.states.park(self._bound(), place)))

    def ended(self) -> list[bytes]:
        return []


class _ByRequest:
    """Asks a client of the initialize era, on the stream of its call."""

    def __init__(self, session: ClientSession, stream: CallStream) -> None:
        self._session = session
        self._stream = stream
        self._asked: dict[str, OpenQuestion] = {}

    async def put(self, question: OpenQuestion) -> Answer | None:
        request_id = self._session.ask(question)
        self._asked[request_id] = question
        await self._stream.write(request_bytes(request_id, question.question.method, question.question.params))
        return None

    def ended(self) -> list[bytes]:
        if not self._asked:
            return []
        self._session.forget(self._asked)
        withdrawn = [request_id for request_id, question in self._asked.items() if question.withdrawn]
        for question in self._asked.values():
            # The client has lost the stream that it was asked on: its member must not wait for it.
            question.answer(unanswered(question.question))
        return [notification_bytes(CANCELLED, {"requestId": request_id}) for request_id in withdrawn]


class _Unasked:
    """A call on another's flight: whose flight it is, is asked."""

    async def put(self, question: OpenQuestion) -> Answer | None:
        return None

    def ended(self) -> list[bytes]:
        return []


def _entry(call: MemberCall, requests: McpRequests, asker: Asker, message: Message, exchange: Exchange) -> ToolCall:
    context = requests.context(asker, message, exchange.started_ns, exchange.headers)
    if call.way is None:
        return ToolCall(context=context, server=exchange.server or "", name=call.asked[:500], kind=call.kind)
    origin = call.way.origin
    return ToolCall(context=context, server=origin.server, name=origin.name, kind=call.kind)


def _responses(message: Message) -> Mapping[str, msgspec.Raw]:
    """The client's answers by the names of the questions; what is not an object is no answer."""
    raw = message.params.get("inputResponses")
    if raw is None:
        return _NO_RESPONSES
    try:
        found = _object(raw)
    except msgspec.MsgspecError:
        text = "'inputResponses' must be an object"
        raise WireError(INVALID_PARAMS, text, request_id=message.request_id or b"null") from None
    return {name: answer for name, answer in found.items() if bytes(answer)[:1] == b"{"}


def _bad_state(message: Message) -> WireError:
    data = {"code": "invalid_request_state"}
    text = "Invalid or expired requestState: begin the call anew"
    return WireError(INVALID_PARAMS, text, request_id=message.request_id or b"null", data=data)
