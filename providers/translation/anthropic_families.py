"""In what Claude's families differ, where a translated request must know: thinking and sampling.

Sources: https://docs.anthropic.com/en/docs/build-with-claude/extended-thinking (budgets; adaptive thinking from
Opus 4.6 and Sonnet 4.6 on), …/effort, and the migration notes of Opus 4.7 (no sampling parameters any more) and of
Opus 4.1 (temperature or top_p). A name
that is not Claude's (vendors that speak this dialect) takes budgets and sampling parameters, as they document.
"""

from __future__ import annotations

import re
from typing import Any, Literal

from providers.canonical.losses import Losses
from providers.canonical.parts import Reasoning, ToolCall
from providers.canonical.request import Effort, Request, Thinking

_VERSION = re.compile(r"claude-(?:[a-z]+-)?(\d+)(?:[-.](\d{1,2})(?!\d))?")
_LEAST_BUDGET = 1_024
_BUDGETS: dict[Effort, int] = {
    "minimal": 1_024,
    "low": 2_048,
    "medium": 8_192,
    "high": 16_384,
    "xhigh": 24_576,
    "max": 31_999,
}
_EFFORTS = frozenset({"low", "medium", "high", "xhigh", "max"})
Manner = Literal["none", "budget", "adaptive"]


def _version(model: str) -> tuple[int, int] | None:
    """(4, 6) of ``claude-sonnet-4-6``; ``None`` for a name that is not Claude's."""
    found = _VERSION.search(model)
    return None if found is None else (int(found[1]), int(found[2] or 0))


def manner_of(model: str) -> Manner:
    """How a model is asked to think."""
    version = _version(model)
    if version is None:
        return "budget"
    if version < (3, 7):
        return "none"
    return "budget" if version < (4, 6) else "adaptive"


def takes_sampling(model: str) -> bool:
    """Whether temperature, top_p and top_k may be set."""
    version = _version(model)
    return version is None or version < (4, 7)


def takes_one_sampler(model: str) -> bool:
    """Whether temperature and top_p may not both be set."""
    version = _version(model)
    return version is not None and (4, 1) <= version < (4, 7)


def writes_thinking(body: dict[str, Any], request: Request, model: str, losses: Losses) -> None:
    """Put ``thinking`` and ``output_config.effort`` into ``body``, as far as the model has them."""
    wanted = request.settings.thinking
    if wanted is None:
        return
    if request.dialect == "anthropic":
        _verbatim(body, wanted)
        return
    if wanted.effort == "none" or wanted.budget == 0:
        body["thinking"] = {"type": "disabled"}
        return
    manner = manner_of(model)
    forced = body.get("tool_choice", {}).get("type") in ("any", "tool")
    if manner == "none" or forced or (manner == "budget" and _unsealed(request)):
        # A forced tool and an unsealed step exclude thinking; the choice of the tool is the stronger wish.
        losses.hint("thinking")
    elif manner == "budget":
        _budget(body, wanted, losses)
    else:
        body["thinking"] = _shown({"type": "adaptive"}, wanted)
        effort = "low" if wanted.effort == "minimal" else wanted.effort or _effort_of(wanted.budget)
        if effort in _EFFORTS:
            body["output_config"] = {"effort": effort}


def _verbatim(body: dict[str, Any], wanted: Thinking) -> None:
    if wanted.effort == "none":
        body["thinking"] = {"type": "disabled"}
        return
    if wanted.budget == -1:
        body["thinking"] = _shown({"type": "adaptive"}, wanted)
    elif wanted.budget is not None:
        body["thinking"] = _shown({"type": "enabled", "budget_tokens": wanted.budget}, wanted)
    if wanted.effort is not None:
        body["output_config"] = {"effort": wanted.effort}


def _budget(body: dict[str, Any], wanted: Thinking, losses: Losses) -> None:
    budget = wanted.budget
    if budget is None or budget < 0:
        budget = _BUDGETS.get(wanted.effort or "medium", _BUDGETS["medium"])
    budget = min(max(budget, _LEAST_BUDGET), body["max_tokens"] - 1)
    if budget < _LEAST_BUDGET:
        losses.hint("thinking")
        return
    body["thinking"] = _shown({"type": "enabled", "budget_tokens": budget}, wanted)


def _shown(thinking: dict[str, Any], wanted: Thinking) -> dict[str, Any]:
    if wanted.show is not None:
        thinking["display"] = "summarized" if wanted.show else "omitted"
    return thinking


def _effort_of(budget: int | None) -> Effort | None:
    """The word for a number of tokens; ``None`` where the model is to decide."""
    if budget is None or budget < 0:
        return None
    return "low" if budget <= 2_048 else "medium" if budget <= 8_192 else "high"


def _unsealed(request: Request) -> bool:
    """The last step of the model called tools and bears no thought that this vendor sealed: it would be refused."""
    last = next((turn for turn in reversed(request.turns) if turn.role == "assistant"), None)
    if last is None or not any(isinstance(part, ToolCall) for part in last.parts):
        return False
    return not any(isinstance(p, Reasoning) and p.seal and p.dialect == "anthropic" for p in last.parts)
