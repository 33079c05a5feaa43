"""How much a Gemini model is to think (https://ai.google.dev/gemini-api/docs/thinking,
https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/thinking).

Gemini 2.5 takes a number of tokens, Gemini 3 and later a level; older ones do not think.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from providers.canonical.losses import Losses
from providers.canonical.request import Effort, Thinking
from providers.translation.gemini_wire import plain_name, version

Level = Literal["MINIMAL", "LOW", "MEDIUM", "HIGH"]

_BUDGETS: Mapping[Effort, int] = {"minimal": 512, "low": 1024, "medium": 8192, "high": 24_576}
_LEVELS: Mapping[Effort, Level] = {"none": "MINIMAL", "minimal": "MINIMAL", "low": "LOW", "medium": "MEDIUM"}
_ORDER: Sequence[Level] = ("MINIMAL", "LOW", "MEDIUM", "HIGH")
_WITH_MINIMAL = ("gemini-3-flash", "gemini-3.1-flash-lite", "gemini-3.5-flash-lite", "gemini-3.6-flash")
"""Models that take ``MINIMAL``; others answer it with an error (gemini-3.7-flash)."""
_WITHOUT_MEDIUM = ("gemini-3-pro",)
_CANNOT = ("-image", "-tts", "-live", "-native-audio")
"""Parts of names of Gemini 2.5 models that do not think."""


def thinking_config(thinking: Thinking, model: str, losses: Losses) -> dict[str, Any] | None:
    """``thinkingConfig`` for a request of another dialect; ``None``: nothing is to be said."""
    name = plain_name(model)
    known = version(model)
    off = thinking.effort == "none" or thinking.budget == 0
    if known is None or known < (2, 5) or (known == (2, 5) and any(word in name for word in _CANNOT)):
        if not off:
            losses.hint("thinking")
        return None
    config: dict[str, Any] = {}
    if known == (2, 5):
        budget = _budget(thinking, name, off=off)
        if budget is not None:
            config["thinkingBudget"] = budget
        if off and budget:
            losses.hint("thinking")
    else:
        level = _level(thinking, name)
        if level is not None:
            config["thinkingLevel"] = level
        if off:
            losses.hint("thinking")  # these models always think, if little
    if not off:
        config["includeThoughts"] = thinking.show is not False
    return config


def own_config(thinking: Thinking) -> dict[str, Any]:
    """``thinkingConfig`` as it was read from this dialect."""
    config: dict[str, Any] = {}
    if thinking.budget is not None:
        config["thinkingBudget"] = thinking.budget
    elif thinking.effort is not None:
        config["thinkingLevel"] = thinking.effort.upper()
    if thinking.show is not None:
        config["includeThoughts"] = thinking.show
    return config


def _budget(thinking: Thinking, name: str, *, off: bool) -> int | None:
    pro, lite = name.startswith("gemini-2.5-pro"), name.startswith("gemini-2.5-flash-lite")
    least, most = (128, 32_768) if pro else (512 if lite else 1, 24_576)
    if off:
        return least if pro else 0
    wanted = thinking.budget
    if wanted is None and thinking.effort is not None:
        wanted = _BUDGETS.get(thinking.effort, most)
    if wanted is None or wanted < 0:
        return wanted
    return min(max(wanted, least), most)


def _level(thinking: Thinking, name: str) -> Level | None:
    effort = thinking.effort
    if effort is None and thinking.budget is not None and thinking.budget >= 0:
        effort = next((word for word, most in _BUDGETS.items() if thinking.budget <= most), "high")
        effort = "none" if thinking.budget == 0 else effort
    if effort is None:
        return None
    wanted = _ORDER.index(_LEVELS.get(effort, "HIGH"))
    takes = [
        not (level == "MINIMAL" and not name.startswith(_WITH_MINIMAL))
        and not (level == "MEDIUM" and name.startswith(_WITHOUT_MEDIUM))
        for level in _ORDER
    ]
    return next(level for at, level in enumerate(_ORDER) if at >= wanted and takes[at])
