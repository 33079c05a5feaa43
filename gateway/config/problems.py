"""What can be wrong with a configuration file, and how it is told: one line a problem."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

KeyPath: TypeAlias = tuple[str | int, ...]
"""Where a value stands: ``("virtual_keys", 0, "budget_limit")``."""


def render_path(path: KeyPath) -> str:
    """``virtual_keys[0].budget_limit``; empty for the document itself."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            shown = part if part.isprintable() else repr(part)
            text += f".{shown}" if text else shown
    return text


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to mend or to know. ``line`` counts from 1; 0 when there is no line to name.

    ``message`` never contains a value that came from the environment or is a secret.
    """

    file: str
    line: int
    path: KeyPath
    message: str
    hint: str | None = None

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        key = render_path(self.path)
        middle = f"{key}: " if key else ""
        tail = f" ({self.hint})" if self.hint else ""
        return f"{where}: {middle}{self.message}{tail}"


class ConfigError(Exception):
    """The file cannot be used. ``problems`` has all of them, in the order of their lines."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: problem.line))
        super().__init__("\n".join(str(problem) for problem in self.problems))
