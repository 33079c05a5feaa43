"""What the framework scripts share: the task, its one tool, and a loop that reads one request a line and prints one
JSON line for each. They run in an environment of their own (``requirements/frameworks.txt``), so this knows nothing
of the repository."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

SYSTEM = "Be brief."
PROMPT = "How warm is it in Bern, Basel and Chur?"
SHAPED = "How long do I stay where?"
LOOPBACK = ("127.0.0.1", "::1", "localhost", None)

ran: list[str] = []
"""The cities for which the tool ran, in the order in which it did."""
elsewhere: list[str] = []
"""Addresses beyond this machine that something here asked for, and did not get."""


class Stay(BaseModel):
    """The form of a structured answer."""

    city: str
    days: int


@dataclass(frozen=True)
class Ask:
    """One task on one surface of the gate."""

    task: str
    surface: str
    model: str
    address: str
    key: str


@dataclass(frozen=True)
class Told:
    """What the framework made of it. ``usage``: input with what was cached, cached, and output, of every model call."""

    text: str
    usage: list[tuple[int, int, int]]
    pieces: int = 0


Task = Callable[[Ask], Awaitable[Told]]


def look_up(city: str) -> str:
    """Tells how warm it is in a city.

    Args:
        city: Its name.
    """
    ran.append(city)
    return f"20 degrees in {city}"


def serve(tasks: Mapping[str, Task]) -> None:
    """Until the end of the input."""
    sys.addaudithook(_stay_here)
    asyncio.run(_serve(tasks))


async def _serve(tasks: Mapping[str, Task]) -> None:
    while line := await asyncio.to_thread(sys.stdin.readline):
        ask = Ask(**json.loads(line))
        ran.clear()
        told = await _told(tasks[ask.task], ask)
        print(json.dumps({**told, "ran": ran, "elsewhere": elsewhere}), flush=True)


async def _told(task: Task, ask: Ask) -> dict[str, Any]:
    try:
        told = await task(ask)
    except Exception as error:  # noqa: BLE001 - whatever a framework raises is told to the test
        return {"error": f"{type(error).__name__}: {error}"}
    return {"text": told.text, "usage": told.usage, "pieces": told.pieces}


def _stay_here(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.getaddrinfo":
        host = arguments[0]
    elif event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    else:
        return
    host = host.decode() if isinstance(host, bytes) else host
    if host not in LOOPBACK:
        elsewhere.append(str(host))
        raise OSError(f"{host} is not on this machine")
