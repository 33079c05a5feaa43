"""Answers an MCP server's sampling request with a model of the gateway's own (``mcp.sampling: gateway``).

The call passes the passage: the caller's budgets and ledger, with the tool call as parent, admitted by the
operator's choice of the model. Text and images pass; what the caller cannot pay is a refusal that the server sees
(https://modelcontextprotocol.io/specification/2025-11-25/client/sampling).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from gateway.child_calls import ChildKeys, outcome_of
from mcp_hub.error_codes import INTERNAL_ERROR, INVALID_PARAMS
from mcp_hub.seams import Question, QuestionAnswer, RpcError
from policies.identity import VirtualKey
from policies.ids import new_call_id
from policies.passage import Passage
from policies.strict_json import BodyError
from policies.trip import Terms
from policies.types import CallContext, ModelCall, Refusal
from providers.dialects.openai_chat import OpenAIChat
from providers.executor import ModelExecutor
from providers.replies import HttpReply

REJECTED = -1
"""The code of the specification's own example for a sampling request that was refused."""
DEADLINE_S = 300.0
_STOP_REASONS = {"stop": "endTurn", "length": "maxTokens"}
_DIALECT = OpenAIChat()
"""Whatever the configured model's provider speaks: the call is translated."""


class _Block(msgspec.Struct):
    type: str
    text: str = ""
    data: str = ""
    mimeType: str = ""  # noqa: N815 - the wire's own name


class _Message(msgspec.Struct):
    role: str
    content: _Block | list[_Block]


class _Asked(msgspec.Struct):
    messages: list[_Message]
    maxTokens: int  # noqa: N815 - the wire's own name
    systemPrompt: str | None = None  # noqa: N815 - the wire's own name
    temperature: float | None = None
    stopSequences: list[str] | None = None  # noqa: N815 - the wire's own name


class GatewaySampler:
    """``mcp_hub.bridge.Sampler`` over a model route."""

    def __init__(self, model: str, executor: ModelExecutor, passage: Passage, clock: Callable[[], int]) -> None:
        self._model = model
        self._keys = ChildKeys(model)
        self._executor = executor
        self._passage = passage
        self._clock = clock

    async def __call__(self, key: VirtualKey, context: CallContext, question: Question) -> QuestionAnswer:
        try:
            asked = msgspec.convert(
                {name: msgspec.json.decode(raw) for name, raw in question.params.items()}, _Asked, strict=True
            )
        except msgspec.MsgspecError as error:
            return RpcError(INVALID_PARAMS, f"The sampling request cannot be read: {error}")
        payer = self._keys.of(key)
        body = _chat(self._model, asked)
        if body is None:
            return RpcError(INVALID_PARAMS, "The gateway's model takes text and images only.")
        try:
            request = _DIALECT.parse(msgspec.json.encode(body))
        except BodyError as error:
            return RpcError(INVALID_PARAMS, error.message)
        call = ModelCall(context=self._context(context), operation=_DIALECT.operation, model=request.model)
        dispatch = self._executor.dispatch(_DIALECT, request, {}, "")
        entered = await self._passage.enter(payer, call, dispatch, Terms("cancel", DEADLINE_S))
        if isinstance(entered, Refusal):
            return RpcError(REJECTED, entered.message)
        outcome = await outcome_of(entered)
        reply = outcome.reply
        if outcome.kind != "ok" or not isinstance(reply, HttpReply):
            return RpcError(INTERNAL_ERROR, f"The gateway's model did not answer: {outcome.message}")
        return _result(reply.body)

    def _context(self, parent: CallContext) -> CallContext:
        now = self._clock()
        return msgspec.structs.replace(
            parent, call_id=new_call_id(now), started_ns=now, parent=parent.call_id, origin="sampling"
        )


def _blocks(message: _Message) -> Sequence[_Block]:
    return message.content if isinstance(message.content, list) else (message.content,)


def _chat(model: str, asked: _Asked) -> dict[str, Any] | None:
    """A chat completion; ``None`` for content that it does not take."""
    messages: list[dict[str, Any]] = []
    if asked.systemPrompt:
        messages.append({"role": "system", "content": asked.systemPrompt})
    for message in asked.messages:
        parts: list[dict[str, Any]] = []
        for block in _blocks(message):
            if block.type == "text":
                parts.append({"type": "text", "text": block.text})
            elif block.type == "image":
                url = f"data:{block.mimeType};base64,{block.data}"
                parts.append({"type": "image_url", "image_url": {"url": url}})
            else:
                return None
        plain = parts[0]["text"] if len(parts) == 1 and parts[0]["type"] == "text" else parts
        messages.append({"role": message.role, "content": plain})
    body: dict[str, Any] = {"model": model, "messages": messages, "max_tokens": asked.maxTokens}
    if asked.temperature is not None:
        body["temperature"] = asked.temperature
    if asked.stopSequences:
        body["stop"] = asked.stopSequences
    return body


def _result(body: bytes) -> QuestionAnswer:
    """The answer as a ``CreateMessageResult``."""
    reply = msgspec.json.decode(body)
    try:
        choice = reply["choices"][0]
        text, stop = choice["message"].get("content") or "", choice.get("finish_reason")
        model = reply["model"]
    except (KeyError, IndexError, TypeError):
        return RpcError(INTERNAL_ERROR, "The gateway's model answered in an unknown form.")
    result = {
        "role": "assistant",
        "content": {"type": "text", "text": text},
        "model": model,
        "stopReason": _STOP_REASONS.get(stop, stop or "endTurn"),
    }
    return msgspec.Raw(msgspec.json.encode(result))
