"""What the strict vendors share."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from tests.support.conversations import Answer, Failure, Heard


class Vendor(Protocol):
    """One dialect, as its vendor publishes it."""

    name: str
    stream_type: str

    def problems(self, body: dict[str, Any]) -> list[str]:
        """Why the vendor would refuse it; empty if it would not."""

    def heard(self, body: dict[str, Any]) -> Heard:
        """What a body that has no problems says."""

    def whole(self, answer: Answer, model: str) -> dict[str, Any]: ...

    def events(self, answer: Answer, model: str, body: dict[str, Any]) -> list[bytes]:
        """The same as a stream."""

    def error(self, failure: Failure) -> dict[str, Any]: ...


def sse(data: Any, name: str = "") -> bytes:
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    return ((f"event: {name}\n" if name else "") + f"data: {text}\n\n").encode()


def pieces(text: str, size: int = 7) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def data_of(url: str) -> str:
    """The base64 of a data URL."""
    return url.partition(";base64,")[2]


def unanswered(steps: Iterable[tuple[Sequence[str], Sequence[str]]]) -> list[str]:
    """Each step's calls, and the results that follow it directly: the same ids, or why not."""
    return [
        f"the calls {list(calls)} are followed by results of {list(results)}"
        for calls, results in steps
        if sorted(calls) != sorted(results)
    ]
