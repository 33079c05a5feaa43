"""The level of log messages that a session of the initialize era was asked for.

One session may serve several clients: it is asked for the most that any of them wanted, and what a client did
not want is taken out on its own side.
"""

from __future__ import annotations

LOG_LEVELS = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")
"""RFC 5424 severities, as MCP names them, least severe first."""


def severity(level: str | None) -> int:
    """How severe a log message is; what is not a level counts as the most severe, so that it is not lost."""
    return LOG_LEVELS.index(level) if level in LOG_LEVELS else len(LOG_LEVELS)


class LogLevel:
    """What one session was asked for so far."""

    __slots__ = ("_asked",)

    def __init__(self) -> None:
        self._asked = len(LOG_LEVELS)

    def raised_by(self, wanted: str | None) -> str | None:
        """The level to ask for now, if ``wanted`` is more than what was asked before."""
        if wanted is None or severity(wanted) >= self._asked:
            return None
        self._asked = severity(wanted)
        return wanted
