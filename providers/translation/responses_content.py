"""What stands in a message or in a tool's output of OpenAI's responses: text and media
(https://platform.openai.com/docs/api-reference/responses/create, ``input``), read and written.

Above it: ``responses_items`` and ``responses_request_writer``. A ``prompt_cache_breakpoint`` is the same as the mark of
other vendors, only with other times: the shorter and the longer one stand for each other.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Callable, Mapping
from typing import Any

from providers.canonical.losses import Losses
from providers.canonical.parts import CacheTtl, Media, Text
from providers.translation.base import bad
from providers.translation.checks import base64_text

VENDOR = "openai"
"""Whose file ids and seals these are: the vendor's, whatever its dialect."""

Labels = dict[str, Any]
"""Nested fields that have no canonical place, by their path: they become ``Request.carried``."""

_AUDIO_TYPES: Mapping[str, str] = {"mp3": "audio/mpeg", "wav": "audio/wav"}
_AUDIO_FORMATS: Mapping[str, str] = {**{mime: name for name, mime in _AUDIO_TYPES.items()}, "audio/mp3": "mp3"}
_DETAILS = frozenset({"auto", "low", "high", "original"})


def read_content(holder: Mapping[str, Any], field: str, where: str, labels: Labels) -> list[Text | Media]:
    """A string or a list of parts. An empty text says nothing and is left out."""
    content = holder.get(field)
    if isinstance(content, str):
        return [Text(content)] if content else []
    if not isinstance(content, list):
        raise bad(f"{where}.{field}", "must be a string or a list of content parts")
    found: list[Text | Media] = []
    for index, part in enumerate(content):
        if not isinstance(part, dict):
            raise bad(f"{where}.{field}[{index}]", "must be an object")
        kind = part.get("type")
        if kind == "input_text" and len(part) == 2 and isinstance(text := part.get("text"), str):
            if text:
                found.append(Text(text))
            continue  # nearly all that is ever said
        place = f"{where}.{field}[{index}]"
        read = _READERS.get(kind) if isinstance(kind, str) else None
        if read is None:
            raise bad(f"{place}.type", f"{kind!r} is not one of {', '.join(_READERS)}")
        said = read(part, place)
        if not isinstance(said, Text) or said.text:
            found.append(said)
        if part.get("annotations"):
            labels["input.annotations"] = part["annotations"]
    return found


def text_field(holder: Mapping[str, Any], name: str, where: str) -> str:
    """A string that must be there."""
    value = holder.get(name)
    if not isinstance(value, str):
        raise bad(f"{where}.{name}", "must be a string" if name in holder else "is required")
    return value


def optional_text(holder: Mapping[str, Any], name: str, where: str) -> str:
    """A string, or nothing. ``where`` is empty for a field of the body."""
    value = holder.get(name)
    if value is not None and not isinstance(value, str):
        raise bad(f"{where}.{name}" if where else name, "must be a string")
    return value or ""


def _text(part: Mapping[str, Any], where: str) -> Text:
    return Text(text_field(part, "text", where), cache=_cache_mark(part))


def _refusal(part: Mapping[str, Any], where: str) -> Text:
    return Text(text_field(part, "refusal", where))


def _image(part: Mapping[str, Any], where: str) -> Media:
    detail, cache = _detail(part, where), _cache_mark(part)
    if file_id := optional_text(part, "file_id", where):
        return Media("image", file_id=file_id, dialect=VENDOR, detail=detail, cache=cache)
    url = text_field(part, "image_url", where)
    if not url.startswith("data:"):
        return Media("image", url=url, detail=detail, cache=cache)
    mime, data = _data_url(url, f"{where}.image_url")
    return Media("image", mime=mime, data=data, detail=detail, cache=cache)


def _file(part: Mapping[str, Any], where: str) -> Media:
    name, detail, cache = optional_text(part, "filename", where), _detail(part, where), _cache_mark(part)
    if file_id := optional_text(part, "file_id", where):
        return Media("document", file_id=file_id, dialect=VENDOR, name=name, detail=detail, cache=cache)
    if url := optional_text(part, "file_url", where):
        return Media("document", url=url, name=name, detail=detail, cache=cache)
    data = text_field(part, "file_data", where)
    if data.startswith("data:"):
        mime, data = _data_url(data, f"{where}.file_data")
    else:
        mime = mimetypes.guess_type(name)[0] or ""
        data = base64_text(data, f"{where}.file_data")
    return Media("document", mime=mime, data=data, name=name, detail=detail, cache=cache)


def _audio(part: Mapping[str, Any], where: str) -> Media:
    sound = part.get("input_audio")
    if not isinstance(sound, dict):
        raise bad(f"{where}.input_audio", "must be an object with 'data' and 'format'")
    mime = _AUDIO_TYPES.get(text_field(sound, "format", f"{where}.input_audio"))
    if mime is None:
        raise bad(f"{where}.input_audio.format", f"must be one of {', '.join(_AUDIO_TYPES)}")
    return Media("audio", mime=mime, data=base64_text(sound.get("data"), f"{where}.input_audio.data"))


_READERS: Mapping[str, Callable[[Mapping[str, Any], str], Text | Media]] = {
    "input_text": _text,
    "output_text": _text,
    "text": _text,
    "refusal": _refusal,
    "input_image": _image,
    "input_file": _file,
    "input_audio": _audio,
}


def _detail(part: Mapping[str, Any], where: str) -> str:
    detail = optional_text(part, "detail", where)
    if detail and detail not in _DETAILS:
        raise bad(f"{where}.detail", f"must be one of {', '.join(sorted(_DETAILS))}")
    return detail


def _cache_mark(part: Mapping[str, Any]) -> CacheTtl | None:
    mark = part.get("prompt_cache_breakpoint")
    if not isinstance(mark, dict):
        return None
    return "1h" if mark.get("ttl") == "12h" else "5m"


def _data_url(url: str, where: str) -> tuple[str, str]:
    """(MIME type, base64)."""
    head, comma, data = url.partition(",")
    mime, *rest = head[len("data:") :].split(";")
    if not comma or "base64" not in rest:
        raise bad(where, "a data URL must read 'data:<type>;base64,<data>'")
    return mime, base64_text(data, where)


def written_content(content: Text | Media, losses: Losses, *, marks: bool) -> dict[str, Any] | None:
    """One part as a user or a tool says it; ``None``: the dialect has none for it. ``marks``: cache marks count."""
    part: dict[str, Any] | None
    if isinstance(content, Text):
        part = {"type": "input_text", "text": content.text}
    elif (part := _written_media(content)) is None:
        losses.demand("file_id" if content.file_id else content.kind)
        return None
    if content.cache is not None:
        if marks:
            part["prompt_cache_breakpoint"] = {"mode": "explicit", **({"ttl": "12h"} if content.cache == "1h" else {})}
        else:
            losses.hint("cache_control")
    return part


def _written_media(media: Media) -> dict[str, Any] | None:
    """``None``: a film, a sound that is not at hand, a file that lies with another vendor."""
    if media.file_id and media.dialect != VENDOR:
        return None
    data_url = f"data:{media.mime};base64,{media.data}"
    detail = {"detail": media.detail} if media.detail else {}
    if media.kind == "image":
        place = {"file_id": media.file_id} if media.file_id else {"image_url": media.url or data_url}
        return {"type": "input_image", **place, "detail": media.detail or "auto"}
    if media.kind == "document":
        return {"type": "input_file", **_document(media, data_url), **detail}
    if media.kind == "audio" and media.data and media.mime in _AUDIO_FORMATS:
        return {
            "type": "input_audio",
            "input_audio": {"data": media.data, "format": _AUDIO_FORMATS[media.mime]},
        }
    return None


def _document(media: Media, data_url: str) -> dict[str, Any]:
    name = {"filename": media.name} if media.name else {}
    if media.file_id:
        return {"file_id": media.file_id, **name}
    if media.url:
        return {"file_url": media.url, **name}
    # The vendor refuses data without a name.
    return {"filename": media.name or "document", "file_data": data_url if media.mime else media.data}
