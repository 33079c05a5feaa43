"""What stands in a conversation: text, media, calls of tools and their results, reasoning.

JSON that merely passes (arguments, schemas) stays text or a decoded value as it came; it is not re-modelled.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec

Role = Literal["system", "user", "assistant"]
MediaKind = Literal["image", "document", "audio", "video"]
CacheTtl = Literal["5m", "1h"]
"""How long a vendor is asked to keep the prompt up to a mark (Anthropic's ``cache_control``, Bedrock's
``cachePoint``)."""
UNSAID_DETAILS = frozenset({"", "auto"})
"""Details of an image that ask for nothing: OpenAI's clients must say one."""


class Text(msgspec.Struct, frozen=True):
    """Words."""

    text: str
    cache: CacheTtl | None = None


class Media(msgspec.Struct, frozen=True):
    """An image, a document, a sound or a film. Exactly one of ``data``, ``url``, ``file_id`` is set."""

    kind: MediaKind
    mime: str = ""
    """Empty where the dialect does not say (a URL in chat completions)."""
    data: str = ""
    """Base64."""
    url: str = ""
    file_id: str = ""
    """A file that was uploaded to one vendor: ``dialect`` says to which."""
    dialect: str = ""
    name: str = ""
    """File name or title."""
    detail: str = ""
    """OpenAI's ``low``, ``high``, ``auto``."""
    cache: CacheTtl | None = None


class ToolReference(msgspec.Struct, frozen=True):
    """In a tool's result: a deferred tool may be called from now on (Anthropic's tool search)."""

    name: str


class Reasoning(msgspec.Struct, frozen=True):
    """What the model thought, and the vendor's seal on it.

    A seal without text belongs to the part that follows (Gemini signs calls and texts) or hides the text
    (``redacted``). Only ``dialect`` can read its own seals; to every other they are carried (``seals``).
    """

    text: str = ""
    seal: str = ""
    dialect: str = ""
    """Who sealed it: ``anthropic``, ``gemini``, ``openai``, ``bedrock``."""
    redacted: bool = False
    id: str = ""
    """OpenAI's name of the item."""


class ToolCall(msgspec.Struct, frozen=True):
    """The model asks for a tool."""

    id: str
    """As the client's conversation spells it; unique within it, never empty."""
    name: str
    arguments: str = "{}"
    """JSON of one object, as it came."""
    namespace: str = ""
    """Codex's group of tools."""
    custom: bool = False
    """OpenAI's custom tool: ``arguments`` is free text, not JSON."""
    cache: CacheTtl | None = None


Content: TypeAlias = Text | Media | ToolReference


class ToolResult(msgspec.Struct, frozen=True):
    """What a tool answered to the call with ``call_id``."""

    call_id: str
    content: tuple[Content, ...] = ()
    is_error: bool = False
    cache: CacheTtl | None = None


class Opaque(msgspec.Struct, frozen=True):
    """A block that only ``dialect`` knows (its own server tools, its citations): written back there as it came."""

    dialect: str
    kind: str
    """Its type, for the message that refuses it elsewhere."""
    block: Any


Part: TypeAlias = Text | Media | Reasoning | ToolCall | ToolResult | Opaque


class Turn(msgspec.Struct, frozen=True):
    """What one side says without a break. ``system`` may stand anywhere in a conversation."""

    role: Role
    parts: tuple[Part, ...]
