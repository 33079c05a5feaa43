"""Puts together a call whose arguments Vertex AI streams in pieces, each with the path of what it belongs to
(https://docs.cloud.google.com/vertex-ai/generative-ai/docs/multimodal/function-calling, ``partialArgs``)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]|\['((?:[^'\\]|\\.)*)'\]|\[\"((?:[^\"\\]|\\.)*)\"\]")
_MOST_ITEMS = 10_000


class PartialCall:
    """One call while it is told."""

    __slots__ = ("_growing", "_root", "id", "name")

    def __init__(self, call: Mapping[str, Any]) -> None:
        self.id: str = call.get("id") or ""
        self.name: str = call["name"]
        self._root: dict[str, Any] = dict(call.get("args") or {})
        self._growing: str | None = None

    def add(self, pieces: Iterable[Mapping[str, Any]]) -> None:
        """More of the arguments."""
        for piece in pieces:
            path = piece.get("jsonPath", "")
            steps = [name or quoted or double or int(at) for name, at, quoted, double in _STEP.findall(path)]
            if steps:
                _put(self._root, steps, _value(piece), append=self._growing == path)
            self._growing = path if piece.get("willContinue") else None

    def whole(self) -> dict[str, Any]:
        """The call as it is when it comes in one piece."""
        return {"id": self.id, "name": self.name, "args": self._root}


def _value(piece: Mapping[str, Any]) -> Any:
    for kind in ("stringValue", "numberValue", "boolValue"):
        if kind in piece:
            return piece[kind]
    return None


def _put(root: Any, steps: list[str | int], value: Any, *, append: bool) -> None:
    """Set what stands at the end of ``steps``, making what is missing on the way. Raises ``ValueError``."""
    at = root
    for here, after in zip(steps, [*steps[1:], None], strict=True):
        if isinstance(here, int):
            if not isinstance(at, list) or here > _MOST_ITEMS:
                raise ValueError("an argument's path does not fit what came before")
            at.extend([None] * (here + 1 - len(at)))
            before = at[here]
        elif isinstance(at, dict):
            before = at.get(here)
        else:
            raise ValueError("an argument's path does not fit what came before")
        if after is None:
            at[here] = before + value if append and isinstance(before, str) and isinstance(value, str) else value
        else:
            if before is None:
                before = at[here] = [] if isinstance(after, int) else {}
            at = before
