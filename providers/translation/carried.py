"""Fields of a request that only its own dialect knows, when it goes to another one: which of them are mere hints.

A hint changes nothing of what is answered: labels and bookkeeping, caching, who is billed how, what is stored, beta
switches, what is to be shown besides. Every other field is a demand, and refused or dropped by policy (``losses``).
"""

from __future__ import annotations

from collections.abc import Mapping

from providers.canonical.losses import Losses
from providers.canonical.request import Dialect, Request

_OPENAI = frozenset(
    {
        "metadata",
        "prompt_cache_key",
        "prompt_cache_retention",
        "prompt_cache_options",
        "safety_identifier",
        "service_tier",
        "store",
        "stream_options",
        "user",
        "verbosity",
    }
)
HINTS: Mapping[Dialect, frozenset[str]] = {
    "openai_chat": _OPENAI
    | {
        "include_reasoning",
        "messages.annotations",
        "messages.content.annotations",
        "messages.name",
        "messages.provider_specific_fields",
        "messages.reasoning_details.type",
        "messages.tool_calls.extra_content",
        "messages.tool_calls.provider_specific_fields",
        "plugins",
        "prediction",
        "provider",
        "transforms",
        "usage",
    },
    "openai_responses": _OPENAI
    | {
        "client_metadata",
        "context_management",
        "include",
        "input.annotations",
        "input.phase",
        "max_tool_calls",
        "reasoning.context",
        "reasoning.summary",
        "text.verbosity",
        "tools.allowed_callers",
        "tools.namespaces",
        "tools.output_schema",
        "truncation",
    },
    "anthropic": frozenset(
        {
            "betas",
            "cache_control",
            "citations",
            "context_management",
            "inference_geo",
            "metadata",
            "safeguards",
            "service_tier",
            "speed",
            "system.x-anthropic-billing-header",
            "tools.allowed_callers",
            "tools.eager_input_streaming",
            "tools.input_examples",
            "user_profile_id",
        }
    ),
    "gemini": frozenset(
        {
            "generationConfig.mediaResolution",
            "generationConfig.enableEnhancedCivicAnswers",
            "labels",
            "safetySettings",
            "serviceTier",
            "store",
            "toolConfig.functionCallingConfig.mode",
            "tools.functionDeclarations",
        }
    ),
    "converse": frozenset(),
}
"""By the dialect that the request was read from; nested fields by their path.

``provider``, ``transforms`` and ``plugins`` are OpenRouter's, for its own routing. ``safetySettings`` steer Google's
filters, which no other vendor has.
"""


def lose_carried(request: Request, losses: Losses) -> None:
    """Name every field of ``request.carried`` as lost: for writers of another dialect than ``request.dialect``."""
    hints = HINTS[request.dialect]
    for name in request.carried:
        if name in hints:
            losses.hint(name)
        else:
            losses.demand(name)
