"""Cache marks for vendors that keep only the prompts that are marked, when a client's own vendor keeps them by itself.

OpenAI's clients say ``prompt_cache_key`` where requests share a beginning; Codex does in all of a session
(https://platform.openai.com/docs/guides/prompt-caching). At Anthropic and Bedrock the same conversation would be paid
in full at each step (https://docs.anthropic.com/en/docs/build-with-claude/prompt-caching).
"""

from __future__ import annotations

import msgspec

from providers.canonical.parts import Media, Text, ToolCall, ToolResult, Turn
from providers.canonical.request import Request


def with_marks(request: Request) -> Request:
    """Marked at the end of the system prompt and of the newest turn, if the client wants its prompts kept."""
    if "prompt_cache_key" not in request.carried or not request.dialect.startswith("openai_") or not request.turns:
        return request
    turns = list(request.turns)
    system = next((n for n, turn in enumerate(turns) if turn.role != "system"), len(turns))
    if system > 0:
        turns[system - 1] = _marked(turns[system - 1])
    if system < len(turns):
        turns[-1] = _marked(turns[-1])
    return msgspec.structs.replace(request, turns=tuple(turns))


def _marked(turn: Turn) -> Turn:
    last = turn.parts[-1] if turn.parts else None
    if isinstance(last, Text | Media | ToolCall | ToolResult) and last.cache is None:
        return Turn(turn.role, (*turn.parts[:-1], msgspec.structs.replace(last, cache="5m")))
    return turn
