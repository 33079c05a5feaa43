"""Parameters of sampling that a target does not take, and when that changes nothing.

Clients often send what their vendor's models would do anyway: Gemini CLI says ``temperature: 1``, ``topP: 0.95`` and
``topK: 64`` in every request, which are the defaults that Google's list of models tells
(https://ai.google.dev/api/models).
"""

from __future__ import annotations

from collections.abc import Mapping

from providers.canonical.losses import Losses
from providers.canonical.request import Dialect

_OPENAI = {"temperature": 1.0, "top_p": 1.0}
_DEFAULTS: Mapping[Dialect, Mapping[str, float]] = {
    "openai_chat": _OPENAI,
    "openai_responses": _OPENAI,
    "anthropic": {"temperature": 1.0},
    "gemini": {"temperature": 1.0, "top_p": 0.95, "top_k": 64},
}


def lose_sampling(name: str, value: float, asked_in: Dialect, losses: Losses) -> None:
    """A parameter that is left out: a demand, unless it is the default of the dialect that it was asked in."""
    if _DEFAULTS.get(asked_in, {}).get(name) == value:
        losses.hint(name)
    else:
        losses.demand(name)


def keep_one(sampling: dict[str, float | None], asked_in: Dialect, losses: Losses) -> None:
    """Where a model takes temperature or top_p, but not both: the one that is a default is left out, or else top_p."""
    temperature, top_p = sampling["temperature"], sampling["top_p"]
    if temperature is None or top_p is None:
        return
    defaults = _DEFAULTS.get(asked_in, {})
    idle = defaults.get("temperature") == temperature and defaults.get("top_p") != top_p
    left_out = "temperature" if idle else "top_p"
    lose_sampling(left_out, temperature if idle else top_p, asked_in, losses)
    sampling[left_out] = None
