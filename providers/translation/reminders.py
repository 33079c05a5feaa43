"""System turns in the middle of a conversation, for dialects whose system prompt stands only at its beginning."""

from __future__ import annotations

from collections.abc import Iterable

from providers.canonical.parts import Text, Turn


def reminder(turn: Turn) -> tuple[Text, ...]:
    """What a system turn says, as parts of the user's turn: marked, so that the model can tell who speaks (Claude Code
    itself marks such text so). A cache mark stays at its end, where clients set it on the newest turn."""
    said = [part for part in turn.parts if isinstance(part, Text)]
    words = "\n".join(part.text for part in said)
    return (Text(f"<system-reminder>\n{words}\n</system-reminder>", said[-1].cache),) if words else ()


def one_system_turn(turns: Iterable[Turn]) -> list[Turn]:
    """The same conversation with one system turn, at its beginning: what the system says later is the user's to tell.
    What stands next to each other on the user's side is one turn: many templates want the sides to alternate."""
    found: list[Turn] = []
    for turn in turns:
        late = turn.role == "system" and bool(found) and found[-1].role != "system"
        told = Turn("user", reminder(turn)) if late else turn
        if late and not told.parts:
            continue
        if found and told.role != "assistant" and found[-1].role == told.role:
            found[-1] = Turn(told.role, found[-1].parts + told.parts)
        else:
            found.append(told)
    return found
