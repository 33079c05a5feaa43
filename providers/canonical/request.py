"""The whole of what a request asks of a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from providers.canonical.parts import CacheTtl, Turn

Dialect = Literal["openai_chat", "openai_responses", "anthropic", "gemini", "converse"]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
ChoiceMode = Literal["auto", "none", "required", "named"]


class Tool(msgspec.Struct, frozen=True):
    """A tool that the caller runs."""

    name: str
    description: str = ""
    schema: Any = None
    """JSON Schema of its arguments, decoded; ``None``: the caller gave none."""
    strict: bool | None = None
    namespace: str = ""
    """Codex's group of tools; a name is unique within it."""
    custom: bool = False
    """OpenAI's custom tool: its input is free text. ``schema`` is then its ``format``, if it has one."""
    deferred: bool = False
    """Anthropic's ``defer_loading``: offered only once a search has found it."""
    cache: CacheTtl | None = None


class ToolChoice(msgspec.Struct, frozen=True):
    """Whether and which tool must be called."""

    mode: ChoiceMode
    name: str = ""
    namespace: str = ""


class Thinking(msgspec.Struct, frozen=True):
    """How much the model is to think: by word, by tokens, or both. ``effort='none'``: not at all."""

    effort: Effort | None = None
    budget: int | None = None
    """Tokens; ``-1``: as much as the model likes."""
    show: bool | None = None
    """Whether the caller wants to see it; ``None``: it does not say."""


class OutputFormat(msgspec.Struct, frozen=True):
    """JSON is wanted. ``schema`` is ``None`` for any JSON object."""

    schema: Any = None
    name: str = ""
    strict: bool | None = None
    description: str = ""


class Settings(msgspec.Struct, frozen=True):
    """Numbers and switches; ``None`` or empty: the caller does not say."""

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    user: str | None = None
    """Who asks, in the caller's own words (``user``, ``metadata.user_id``)."""
    parallel_calls: bool | None = None
    thinking: Thinking | None = None
    output: OutputFormat | None = None


class Hosted(msgspec.Struct, frozen=True):
    """A tool that the vendor runs (web search, code execution), as ``dialect`` spells it."""

    dialect: Dialect
    kind: str
    tool: Any


_SETTINGS = Settings()


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One request, read from ``dialect``."""

    dialect: Dialect
    model: str
    stream: bool = False
    turns: tuple[Turn, ...] = ()
    """System turns at the beginning are the system prompt."""
    tools: tuple[Tool, ...] = ()
    hosted: tuple[Hosted, ...] = ()
    choice: ToolChoice | None = None
    settings: Settings = _SETTINGS
    stream_usage: bool = True
    """The caller wants the usage at the end of a stream (chat completions must ask for it)."""
    carried: Mapping[str, Any] = {}
    """Top-level fields that only ``dialect`` knows, by name, decoded."""
