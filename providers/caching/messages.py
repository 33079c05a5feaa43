"""Anthropic messages for the cache (https://docs.anthropic.com/en/api/messages, …/messages-streaming)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from policies.caching.canonical import NotCanonical
from policies.caching.vocabulary import Answerable, Bypass, Conversation
from providers.caching.base import BAD, Answer, Fields, Judgement, conversation_of, decoded, event, with_plain_links
from providers.dialects.anthropic import BILLING
from providers.dialects.base import ModelRequest

LEFT_OUT = frozenset({"model", "stream", "metadata", "service_tier", "cache_control"})
"""Fields that cannot change the answer."""
_STATEFUL = frozenset({"container", "mcp_servers"})
"""The vendor keeps files, or calls tools of its own, between request and answer."""
_LINKS = frozenset({"id", "tool_use_id"})
_MARK = b'"cache_control"'
_GOOD_ENDS = frozenset({"end_turn", "max_tokens", "stop_sequence", "tool_use"})
_CONTINUED = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "signature"}


class MessagesCaching:
    """``providers.caching.base.DialectCaching``."""

    def answerable(self, request: ModelRequest) -> Answerable | Bypass:
        if any(name in _STATEFUL and bytes(raw) not in (b"null", b"[]") for name, raw in request.body.items()):
            return Bypass("stateful")
        try:
            fields = Fields(request.body, LEFT_OUT)
        except NotCanonical:
            return Bypass("ambiguous")
        if isinstance(system := fields.value("system"), list):
            fields.put("system", _without_marks(_without_billing(system)))
        for name in ("messages", "tools"):
            if _MARK in fields.canonical.get(name, b""):
                fields.put(name, _without_marks(fields.value(name)))
        if fields.canonical.get("messages", b"").find(b'"tool_use_id"') >= 0:
            fields.put("messages", with_plain_links(fields.value("messages"), _LINKS))
        return Answerable(fields=fields.canonical, conversation=lambda: _conversation(fields))

    def judge(self, answer: Answer) -> Judgement:
        content = answer.get("content")
        if answer.get("stop_reason") not in _GOOD_ENDS or not isinstance(content, list):
            return BAD
        kinds = [str(block.get("type")) for block in content if isinstance(block, dict)]
        ids = [
            block["id"]
            for block in content
            if block.get("type") in ("tool_use", "mcp_tool_use") and isinstance(block.get("id"), str)
        ]
        own = answer.get("id")
        calls = any(kind.endswith("tool_use") for kind in kinds)
        return Judgement(True, (own,) if isinstance(own, str) and own else (), tuple(ids), calls)

    def assemble(self, events: Iterable[bytes]) -> Answer | None:
        telling = _Telling()
        for raw in events:
            said = decoded(raw)
            if said is not None and not telling.take(said):
                return None
        return telling.answer()

    def explode(self, answer: Answer) -> bytes | None:
        usage = answer.get("usage") or {}
        start = {**answer, "content": [], "stop_reason": None, "stop_sequence": None}
        start["usage"] = {**usage, "output_tokens": min(1, usage.get("output_tokens") or 0)}
        start.pop("context_management", None)
        parts = [event({"type": "message_start", "message": start}, "message_start")]
        for index, block in enumerate(answer["content"]):
            parts.append(_block_events(index, block))
        delta = {"stop_reason": answer.get("stop_reason"), "stop_sequence": answer.get("stop_sequence")}
        ending = {"type": "message_delta", "delta": delta, "usage": usage}
        if answer.get("context_management") is not None:
            ending["context_management"] = answer["context_management"]
        parts += (event(ending, "message_delta"), event({"type": "message_stop"}, "message_stop"))
        return b"".join(parts)


def _without_marks(value: Any) -> Any:
    """Blocks without ``cache_control`` (it changes the price). What a tool is called with is left as it is."""
    return [_block(item) for item in value] if isinstance(value, list) else value


def _block(item: Any) -> Any:
    if not isinstance(item, dict):
        return item
    kept = {name: value for name, value in item.items() if name != "cache_control"}
    if isinstance(kept.get("content"), list):
        kept["content"] = _without_marks(kept["content"])
    return kept


def _without_billing(system: list[Any]) -> list[Any]:
    return [
        block
        for block in system
        if not (isinstance(block, dict) and BILLING.fullmatch(str(block.get("text", ""))) is not None)
    ]


def _conversation(fields: Fields) -> Conversation | None:
    """``None`` where tools spoke, or in a shape that is not known."""
    messages, system = fields.value("messages"), fields.value("system")
    if not isinstance(messages, list):
        return None
    instructions, system_rest = _text(system) if system is not None else ("", None)
    turns: list[tuple[str, str]] = []
    rest: list[Any] = [system_rest]
    for message in messages:
        if not isinstance(message, dict):
            return None
        text, parts = _text(message.get("content"))
        if text is None:
            return None
        turns.append((str(message.get("role")), text))
        rest.append({**{k: v for k, v in message.items() if k != "content"}, "content": parts})
    if instructions is None:
        return None
    return conversation_of(turns, [instructions] if instructions else [], rest, fields.others("messages", "system"))


def _text(content: Any) -> tuple[str | None, Any]:
    """The text of a message or system prompt, and what else is in it; ``None`` where tools spoke."""
    if isinstance(content, str):
        return content, None
    if not isinstance(content, list):
        return None, None
    texts: list[str] = []
    parts: list[Any] = []
    for block in content:
        if not isinstance(block, dict) or "tool" in str(block.get("type")):
            return None, None
        if block.get("type") == "text" and isinstance(block.get("text"), str):
            texts.append(block["text"])
        else:
            parts.append(block)
    return "\n".join(texts), parts or None


class _Telling:
    """A message as far as its stream has told it."""

    def __init__(self) -> None:
        self._message: Answer | None = None
        self._blocks: dict[int, Answer] = {}
        self._inputs: dict[int, str] = {}
        self._ended = False

    def take(self, said: Answer) -> bool:
        """Add one event; false for one that is not known, or out of order."""
        kind = said.get("type")
        if kind == "message_start":
            self._message = dict(said["message"])
        elif kind in ("ping", "content_block_stop"):
            return True
        elif self._message is None:
            return False
        elif kind == "content_block_start":
            self._blocks[said["index"]] = dict(said["content_block"])
        elif kind == "content_block_delta":
            return self._continue(said["index"], said["delta"])
        elif kind == "message_delta":
            _amend(self._message, said)
        elif kind == "message_stop":
            self._ended = True
        else:
            return False
        return True

    def answer(self) -> Answer | None:
        """The whole, once it is."""
        if self._message is None or not self._ended:
            return None
        for index, text in self._inputs.items():
            self._blocks[index]["input"] = msgspec.json.decode(text) if text.strip() else {}
        return {**self._message, "content": [self._blocks[index] for index in sorted(self._blocks)]}

    def _continue(self, index: int, delta: Answer) -> bool:
        block, kind = self._blocks.get(index), delta.get("type")
        if block is None:
            return False
        if kind == "input_json_delta":
            self._inputs[index] = self._inputs.get(index, "") + delta["partial_json"]
        elif kind == "citations_delta":
            block["citations"] = [*(block.get("citations") or ()), delta["citation"]]
        elif kind in _CONTINUED:
            field = _CONTINUED[kind]
            block[field] = (block.get(field) or "") + delta[field]
        else:
            return False
        return True


def _amend(message: Answer, said: Answer) -> None:
    """What ``message_delta`` says at the end: the stop reason, and counts that replace earlier ones."""
    message.update(said.get("delta") or {})
    counts = {name: value for name, value in (said.get("usage") or {}).items() if value is not None}
    message["usage"] = {**(message.get("usage") or {}), **counts}
    if "context_management" in said:
        message["context_management"] = said["context_management"]


def _block_events(index: int, block: Answer) -> bytes:
    """The events that tell one block."""
    kind = block.get("type")
    empty, deltas = block, list[Answer]()
    if kind == "text":
        empty = {**{k: v for k, v in block.items() if k != "citations"}, "text": ""}
        deltas.append({"type": "text_delta", "text": block.get("text", "")})
        deltas += [{"type": "citations_delta", "citation": citation} for citation in block.get("citations") or ()]
    elif kind == "thinking":
        empty = {**block, "thinking": "", "signature": ""}
        deltas.append({"type": "thinking_delta", "thinking": block.get("thinking", "")})
        deltas.append({"type": "signature_delta", "signature": block.get("signature", "")})
    elif isinstance(kind, str) and kind.endswith("tool_use"):
        empty = {**block, "input": {}}
        partial = msgspec.json.encode(block.get("input") or {}).decode()
        deltas.append({"type": "input_json_delta", "partial_json": partial})
    told = [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
    return b"".join(
        (
            event({"type": "content_block_start", "index": index, "content_block": empty}, "content_block_start"),
            *(event(one, "content_block_delta") for one in told),
            event({"type": "content_block_stop", "index": index}, "content_block_stop"),
        )
    )
