"""What a provider says in OpenAI's responses (https://platform.openai.com/docs/api-reference/responses/object,
…/responses-streaming), as far as it is read."""

from __future__ import annotations

from typing import Any

import msgspec

from providers.canonical.answer import StopReason
from providers.dialects.openai import ResponsesUsage

_CUT: dict[str | None, StopReason] = {"max_output_tokens": "length", "content_filter": "refusal"}


class WirePart(msgspec.Struct):
    type: str = ""
    text: str | None = None
    refusal: str | None = None


class WireItem(msgspec.Struct):
    type: str = ""
    id: str | None = None
    call_id: str | None = None
    name: str | None = None
    namespace: str | None = None
    arguments: Any = None
    input: str | None = None
    content: list[WirePart] | None = None
    summary: list[WirePart] | None = None
    encrypted_content: str | None = None

    def thoughts(self) -> str:
        """The texts of a reasoning item."""
        return "\n\n".join(part.text for part in (*(self.summary or ()), *(self.content or ())) if part.text)


class WireError(msgspec.Struct):
    code: Any = None
    message: str | None = None


class WireCut(msgspec.Struct):
    reason: str | None = None


class WireResponse(msgspec.Struct):
    id: str = ""
    status: str | None = None
    output: list[WireItem] | None = None
    usage: ResponsesUsage | None = None
    error: WireError | None = None
    incomplete_details: WireCut | None = None

    def stop(self, *, calls: bool, refused: bool) -> StopReason:
        """Why it ended. ``calls``, ``refused``: what it said."""
        if self.status == "incomplete":
            return _CUT.get(self.incomplete_details.reason if self.incomplete_details else None, "other")
        return "tool_calls" if calls else "refusal" if refused else "end"


CALLS = frozenset({"function_call", "custom_tool_call"})
