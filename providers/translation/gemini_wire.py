"""What Gemini's readers and writers have in common: spelling of fields, signatures, models and their versions
(https://ai.google.dev/api/caching#Content).

Fields may be spelled ``inlineData`` or ``inline_data``: both are JSON of the same protocol buffer, and a single object
may stand where an array is expected (the vendor's own examples write ``"parts": {"text": …}``).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from typing import Any

from providers.canonical.names import NameRule
from providers.canonical.parts import MediaKind, Reasoning
from providers.canonical.seals import carry, restore
from providers.translation.base import bad
from providers.translation.checks import listed

TOOL_NAMES = NameRule(re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]*"), 128)
DUMMY_SIGNATURE = "skip_thought_signature_validator"
"""Stands for the signature of a call that no Gemini model made
(https://ai.google.dev/gemini-api/docs/thought-signatures,
https://docs.cloud.google.com/vertex-ai/generative-ai/docs/thought-signatures)."""
LATEST = (99, 0)
"""Version of the aliases that name none (``gemini-flash-latest``)."""
_DUMMIES = frozenset(
    {
        DUMMY_SIGNATURE,
        base64.b64encode(DUMMY_SIGNATURE.encode()).decode(),
        "context_engineering_is_the_way_to_go",
    }
)
_MARK = "tkr."
"""Before a carried seal whose reasoning is redacted or has a name: ``tkr.r.NAME.``"""
OURS = tuple(base64.b64encode(mark).decode()[:5] for mark in (b"tk1.", b"tkr."))
_STANDARD = str.maketrans("-_", "+/")
_VERSION = re.compile(r"gemini-(\d+)(?:\.(\d+))?(?![\d])")


def camel(fields: Mapping[str, Any], at: str) -> Mapping[str, Any]:
    """``fields`` in the spelling of the reference, ``null`` ones left out. Raises ``BodyError`` for one that stands
    there twice."""
    for name, value in fields.items():
        if value is None or "_" in name:
            return _camel(fields, at)
    return fields


def _camel(fields: Mapping[str, Any], at: str) -> Mapping[str, Any]:
    found: dict[str, Any] = {}
    for name, value in fields.items():
        if value is None:
            continue
        spelled = camel_name(name)
        if spelled in found:
            raise bad(f"{at}.{name}", "the field is set twice, in two spellings")
        found[spelled] = value
    return found


def camel_name(name: str) -> str:
    """``inline_data`` → ``inlineData``."""
    if "_" not in name or name.startswith("_"):
        return name
    head, *rest = name.split("_")
    return head + "".join(word[:1].upper() + word[1:] for word in rest)


def several(value: Any, at: str) -> Sequence[Any]:
    """A repeated field: an array, or one object alone. Raises ``BodyError``."""
    return (value,) if isinstance(value, dict) else listed(value, at)


def kind_of(mime: str) -> MediaKind:
    """What a MIME type is to other vendors."""
    kind = mime.partition("/")[0]
    if kind == "image":
        return "image"
    if kind == "audio":
        return "audio"
    return "video" if kind == "video" else "document"


def plain_name(model: str) -> str:
    """``publishers/google/models/gemini-…`` and ``models/gemini-…`` without their path."""
    return model.rpartition("/")[2].lower()


def version(model: str) -> tuple[int, int] | None:
    """``(2, 5)``; ``None`` for what is no Gemini model."""
    name = plain_name(model)
    if not name.startswith("gemini-"):
        return None
    match = _VERSION.match(name)
    return (int(match[1]), int(match[2] or 0)) if match else LATEST


def signature_of(part: Reasoning) -> str:
    """The seal as ``thoughtSignature``, which is bytes: another vendor's is carried in base64."""
    if part.dialect == "gemini" or not part.seal:
        return part.seal
    carried = carry(part.seal, part.dialect, "gemini")
    if part.redacted or part.id:
        carried = f"{_MARK}{'r' if part.redacted else ''}.{part.id}.{carried}"
    return base64.b64encode(carried.encode()).decode()


def sealed(signature: str) -> Reasoning | None:
    """What a ``thoughtSignature`` says; ``None`` for a dummy, which says nothing."""
    if not signature or signature in _DUMMIES:
        return None
    if signature.startswith(OURS):
        try:
            written = base64.b64decode(signature.translate(_STANDARD)).decode()
        except (binascii.Error, UnicodeDecodeError):
            return Reasoning(seal=signature, dialect="gemini")
        redacted, name = "", ""
        if written.startswith(_MARK):
            redacted, _, rest = written.removeprefix(_MARK).partition(".")
            name, _, written = rest.partition(".")
        seal, dialect = restore(written, "gemini")
        if dialect != "gemini":
            return Reasoning(seal=seal, dialect=dialect, redacted=redacted == "r", id=name)
    return Reasoning(seal=signature, dialect="gemini")


def with_thought(parts: list[Any], text: str, seal: Reasoning | None) -> None:
    """Add a thought, or what seals it. Thoughts come in pieces until one is sealed; a signature on what follows a
    thought seals the thought, since Gemini signs the first part after its thoughts."""
    last = parts[-1] if parts else None
    goes_on = isinstance(last, Reasoning) and not last.seal
    if not goes_on:
        if text or seal is not None:
            parts.append(_joined("", text, seal))
    elif isinstance(last, Reasoning):
        parts[-1] = _joined(last.text, text, seal)


def _joined(before: str, text: str, seal: Reasoning | None) -> Reasoning:
    if seal is None:
        return Reasoning(before + text)
    return Reasoning(before + text, seal.seal, seal.dialect, seal.redacted, seal.id)
