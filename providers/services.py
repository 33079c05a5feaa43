"""What a client can ask of a model, and which kinds of provider can answer: in their own dialect, or translated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

ProviderKind = Literal["openai", "anthropic", "gemini", "converse"]
"""The wire family that a provider speaks. ``converse`` is AWS Bedrock's."""

Service = Literal[
    "openai/chat",
    "openai/responses",
    "openai/embeddings",
    "anthropic/messages",
    "anthropic/count_tokens",
    "gemini/generate",
    "gemini/count_tokens",
    "gemini/embed",
]
"""One operation of one dialect."""

_ALL: frozenset[ProviderKind] = frozenset({"openai", "anthropic", "gemini", "converse"})
SERVED_BY: Mapping[Service, frozenset[ProviderKind]] = {
    "openai/chat": _ALL,
    "openai/responses": _ALL,
    "anthropic/messages": _ALL,
    "gemini/generate": _ALL,
    "openai/embeddings": frozenset({"openai", "gemini"}),
    "gemini/embed": frozenset({"openai", "gemini"}),
    # Only these two have an endpoint that counts; a number that nobody counted is not given.
    "anthropic/count_tokens": frozenset({"anthropic", "gemini"}),
    "gemini/count_tokens": frozenset({"anthropic", "gemini"}),
}
