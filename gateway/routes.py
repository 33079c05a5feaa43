"""Which path is which dialect's operation: every route that can spend money on a model."""

from __future__ import annotations

from collections.abc import Mapping

from providers.dialects.anthropic import AnthropicCountTokens, AnthropicMessages
from providers.dialects.base import Dialect
from providers.dialects.openai_chat import OpenAIChat
from providers.dialects.openai_embeddings import OpenAIEmbeddings
from providers.dialects.openai_responses import OpenAIResponses

ANTHROPIC = AnthropicMessages()
_OPENAI: tuple[tuple[str, Dialect], ...] = (
    ("/v1/chat/completions", OpenAIChat()),
    ("/v1/responses", OpenAIResponses()),
    ("/v1/embeddings", OpenAIEmbeddings()),
)
MODEL_ROUTES = (*_OPENAI, *((f"/openai{path}", dialect) for path, dialect in _OPENAI))
ANTHROPIC_ROUTES: tuple[tuple[str, Dialect], ...] = (
    ("/anthropic/v1/messages", ANTHROPIC),
    ("/anthropic/v1/messages/count_tokens", AnthropicCountTokens()),
)
"""With ``MODEL_ROUTES``, every route that can spend money on a model: each is a ``ModelSurface``."""

BY_OPERATION: Mapping[str, Dialect] = {dialect.operation: dialect for _, dialect in (*_OPENAI, *ANTHROPIC_ROUTES)}
