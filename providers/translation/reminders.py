"""System turns in the middle of a conversation, for dialects whose system prompt stands only at its beginning."""

from __future__ import annotations

from providers.canonical.parts import Text, Turn


def reminder(turn: Turn) -> tuple[Text, ...]:
    """What a system turn says, as parts of the user's turn: marked, so that the model can tell who speaks (Claude Code
    itself marks such text so)."""
    words = "\n".join(part.text for part in turn.parts if isinstance(part, Text))
    return (Text(f"<system-reminder>\n{words}\n</system-reminder>"),) if words else ()
