"""One call from a client's dialect to a provider's, and its answer back: puts a ``Face`` and a ``Back`` together.

What both sides need to know of each other is done here, once for all pairs: tools get their own names back, ids are
brought into a form that every client can send again, free-text calls are unwrapped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from policies.ids import new_id
from policies.types import Usage
from providers.canonical.answer import (
    AnswerPart,
    CallDelta,
    CallStarted,
    Ended,
    Event,
    Failed,
    ReasoningDelta,
    Started,
    TextDelta,
)
from providers.canonical.names import PLAIN_64, ToolNames, fitted
from providers.canonical.parts import ToolCall
from providers.canonical.request import Request
from providers.dialects.base import Reading
from providers.services import ProviderKind, Service
from providers.translation.anthropic import ANTHROPIC_BACK, ANTHROPIC_FACE
from providers.translation.base import BAD_ANSWER, Back, Face, StreamDecoder, StreamEncoder
from providers.translation.chat import CHAT_BACK, CHAT_FACE
from providers.translation.converse import CONVERSE_BACK
from providers.translation.custom_tools import input_of
from providers.translation.gemini import GEMINI_BACK, GEMINI_FACE
from providers.translation.responses import RESPONSES_FACE

FACES: Mapping[Service, Face] = {
    "openai/chat": CHAT_FACE,
    "openai/responses": RESPONSES_FACE,
    "anthropic/messages": ANTHROPIC_FACE,
    "gemini/generate": GEMINI_FACE,
}
BACKS: Mapping[ProviderKind, Back] = {
    "openai": CHAT_BACK,
    "anthropic": ANTHROPIC_BACK,
    "gemini": GEMINI_BACK,
    "converse": CONVERSE_BACK,
}


_LASTING = 12
"""A shorter id is a number within one answer (``call_0``), and would come twice in a conversation."""


def _lasting(call_id: str) -> str:
    """The id of a call as every client can send it again, and as no other call of the conversation has it."""
    return fitted(call_id, PLAIN_64) if len(call_id) >= _LASTING else new_id("call_")


class Translation:
    """Of one attempt. ``asked`` is what the client asked, ``names`` how its tools were offered."""

    __slots__ = ("_asked", "_back", "_face", "_names")

    def __init__(self, face: Face, back: Back, asked: Request, names: ToolNames) -> None:
        self._face = face
        self._back = back
        self._asked = asked
        self._names = names

    def whole(self, body: bytes) -> tuple[bytes, Reading] | None:
        """The client's answer, and what it says; ``None`` if the provider's is none."""
        try:
            answer = self._back.read(body, self._asked.model)
        except BAD_ANSWER:
            return None
        answer = msgspec.structs.replace(answer, parts=tuple(self._part(part) for part in answer.parts))
        calls = tuple(part.id for part in answer.parts if isinstance(part, ToolCall))
        reading = Reading(usage=answer.usage, tool_use_ids=calls, stop_reason=answer.stop)
        return self._face.write(answer, self._asked), reading

    def stream_reader(self) -> TranslatedStream:
        return TranslatedStream(self._back.decoder(), self._face.encoder(self._asked), self._names)

    def _part(self, part: AnswerPart) -> AnswerPart:
        if not isinstance(part, ToolCall):
            return part
        tool = self._names.tool(part.name)
        arguments = input_of(part.arguments) if tool.custom else part.arguments
        return ToolCall(_lasting(part.id), tool.name, arguments, tool.namespace, tool.custom)


class TranslatedStream:
    """``providers.dialects.base.StreamReader`` of a stream that is told in another dialect."""

    __slots__ = (
        "_decoder",
        "_encoder",
        "_held",
        "_names",
        "_tool_uses",
        "content_bytes",
        "ended",
        "failed",
        "stop_reason",
        "usage",
    )

    def __init__(self, decoder: StreamDecoder, encoder: StreamEncoder, names: ToolNames) -> None:
        self._decoder = decoder
        self._encoder = encoder
        self._names = names
        self._held: list[Event] = []
        self._tool_uses: list[str] = []
        self.usage: Usage | None = None
        self.stop_reason: str | None = None
        self.ended = False
        self.failed: Failed | None = None
        """The provider's own error: told to the client already, if anything was."""
        self.content_bytes = 0

    def feed(self, chunk: bytes) -> bytes:
        return self._tell(self._decoder.feed(chunk))

    def finish(self) -> bytes:
        return self._tell(self._decoder.finish())

    def broken(self, code: str, message: str) -> bytes:
        """What the client is told when there will be no more."""
        return self._encoder.encode([*self._held, Failed(code, message)])

    def new_tool_uses(self) -> list[str]:
        found, self._tool_uses = self._tool_uses, []
        return found

    def _tell(self, events: Sequence[Event]) -> bytes:
        """That a provider has begun is told with the first thing that it says: until then another may answer."""
        if not events:
            return b""
        told = [self._noted(event) for event in events]
        if self._held:
            told = [*self._held, *told]
            self._held = []
        if all(isinstance(event, Started) for event in told):
            self._held = told
            return b""
        return self._encoder.encode(told)

    def _noted(self, event: Event) -> Event:
        if isinstance(event, TextDelta | ReasoningDelta):
            self.content_bytes += len(event.text)
        elif isinstance(event, CallDelta):
            self.content_bytes += len(event.json)
        elif isinstance(event, CallStarted):
            tool = self._names.tool(event.name)
            event = CallStarted(event.index, _lasting(event.id), tool.name, tool.namespace, tool.custom)
            self._tool_uses.append(event.id)
        elif isinstance(event, Started):
            self.usage = event.usage or self.usage
        elif isinstance(event, Ended):
            self.usage, self.stop_reason, self.ended = event.usage or self.usage, event.stop, True
        elif isinstance(event, Failed):
            self.failed = event
        return event
