"""A request in its provider's own dialect that cannot pass as it is: the conversation was with another vendor's model
before, whose seals the client hands back in good faith, and this vendor would refuse them.

Such a request is read and written once in its own dialect, without them. Its answer passes as every other.
"""

from __future__ import annotations

from collections.abc import Mapping

from providers.canonical.seals import CARRIED
from providers.dialects.base import ModelRequest
from providers.dialects.marks import bears
from providers.services import Service
from providers.translation.anthropic import ANTHROPIC_BACK
from providers.translation.base import Back, Traits, Written
from providers.translation.chat import CHAT_BACK
from providers.translation.gemini import GEMINI_BACK
from providers.translation.gemini_wire import OURS
from providers.translation.responses import RESPONSES_BACK
from providers.translation.translated import FACES

_BACKS: Mapping[Service, Back] = {
    "openai/chat": CHAT_BACK,
    "openai/responses": RESPONSES_BACK,
    "anthropic/messages": ANTHROPIC_BACK,
    "gemini/generate": GEMINI_BACK,
}
_OPENINGS = (f'"{CARRIED}'.encode(),)
_GEMINI_OPENINGS = tuple(f'"{ours}'.encode() for ours in OURS)


def bears_foreign_seals(service: Service, body: bytes) -> bool:
    """A string of the body begins as a carried seal does."""
    return service in _BACKS and bears(body, _GEMINI_OPENINGS if service == "gemini/generate" else _OPENINGS)


def without_foreign_seals(service: Service, asked: ModelRequest, model: str, traits: Traits) -> Written:
    """``model`` is the vendor's name. Raises ``BodyError``."""
    request = FACES[service].read(asked.body, asked.model, stream=asked.stream)
    return _BACKS[service].write(request, model, traits)
