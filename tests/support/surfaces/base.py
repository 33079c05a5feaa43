"""What the clients share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from tests.support.conversations import Ask, Call, Said

DROPPED = "x-tollkeeper-dropped"
DESCRIPTIONS: Mapping[str, str] = {"look_up": "Looks the weather up.", "add": "Adds."}


class Client(Protocol):
    """One SDK."""

    surface: str

    async def ask(self, model: str, ask: Ask, *, stream: bool = False) -> Said:
        """Raises ``CannotSay`` for what the dialect has no word for, and ``Refused`` for an error."""

    async def close(self) -> None: ...


def id_of(calls: list[Call], name: str) -> str:
    """Of the newest call of this tool."""
    return next(call.id for call in reversed(calls) if call.name == name)


def as_data_url(mime: str, data: str) -> str:
    return f"data:{mime};base64,{data}"


def plain(value: Any) -> Any:
    """A model of an SDK as its JSON."""
    return value.model_dump(mode="json", exclude_none=True, exclude_unset=True)
