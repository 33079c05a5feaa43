"""A request without a conversation (embeddings, a count of tokens) in another dialect, and the way back."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from policies.types import Usage
from providers.canonical.losses import Losses


class Told(msgspec.Struct, frozen=True):
    """An answer in the client's dialect."""

    body: bytes
    usage: Usage | None = None
    """What the vendor reported."""


class PlainExchange(msgspec.Struct, frozen=True):
    """What to send, and how the answer is told to the client."""

    body: bytes
    losses: Losses
    tell: Callable[[bytes], Told]
    """Raises one of ``providers.translation.base.BAD_ANSWER`` for what is no answer."""
