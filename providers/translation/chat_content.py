"""Content parts of chat completions: text, images, sounds, files, read and written
(https://platform.openai.com/docs/api-reference/chat/create, ``messages``).

``cache_control`` on a part is OpenRouter's and LiteLLM's convention for Anthropic's cache marks; OpenAI's own
``prompt_cache_breakpoint`` is the same with longer times. ``video_url`` is OpenRouter's and vLLM's.
"""

from __future__ import annotations

import base64
import binascii
import mimetypes
from collections.abc import Callable, Container, Mapping
from typing import Any, cast

from providers.canonical.losses import Losses
from providers.canonical.parts import CacheTtl, Media, Text
from providers.translation.base import bad
from providers.translation.checks import an_object, base64_text, listed, text

VENDOR = "openai"
"""Whose files these are: OpenAI's dialects share them."""

_MIMES: Mapping[str, str] = {"wav": "audio/wav", "mp3": "audio/mpeg"}
_SOUNDS: Mapping[str, str] = {"audio/wav": "wav", "audio/x-wav": "wav", "audio/mpeg": "mp3", "audio/mp3": "mp3"}
_MARKS = ("type", "cache_control", "prompt_cache_breakpoint")


def read_parts(content: Any, where: str, allowed: Mapping[str, _Reader], carried: dict[str, Any]) -> list[Text | Media]:
    """A string, or a list of parts of the ``allowed`` types. Raises ``BodyError``."""
    if isinstance(content, str):
        return [Text(content)] if content else []
    found: list[Text | Media] = []
    for index, entry in enumerate(listed(content, where)):
        at = f"{where}[{index}]"
        part = an_object(entry, at)
        kind = part.get("type")
        read = allowed.get(kind) if isinstance(kind, str) else None
        if read is None:
            raise bad(f"{at}.type", f"Invalid value: {kind!r}. Supported values are: {', '.join(map(repr, allowed))}.")
        cache = cache_of(part, at) if len(part) > 2 else None
        said = read(part, at, cache)
        if not isinstance(said, Text) or said.text or cache is not None:  # an empty text says nothing
            found.append(said)
        if len(part) > 2:
            note_extras(part, (*_MARKS, str(kind), "text"), "messages.content", carried)
        if isinstance(inner := part.get(str(kind)), dict):
            note_extras(inner, _INNER[str(kind)], f"messages.content.{kind}", carried)
    return found


def note_extras(fields: Mapping[str, Any], known: Container[str], path: str, carried: dict[str, Any]) -> None:
    """Nested fields without a place in the canonical form are carried under their path."""
    for name, value in fields.items():
        if name not in known and value not in (None, [], {}, ""):
            carried[f"{path}.{name}"] = value


def cache_of(fields: Mapping[str, Any], where: str) -> CacheTtl | None:
    """The cache mark of a part or a tool. Raises ``BodyError``."""
    mark = fields.get("cache_control")
    if mark is not None:
        ttl = an_object(mark, f"{where}.cache_control").get("ttl") or "5m"
        if ttl not in ("5m", "1h"):
            raise bad(f"{where}.cache_control.ttl", f"{ttl!r} is neither '5m' nor '1h'")
        return cast(CacheTtl, ttl)
    mark = fields.get("prompt_cache_breakpoint")
    if mark is None:
        return None
    return "1h" if an_object(mark, f"{where}.prompt_cache_breakpoint").get("ttl") == "12h" else "5m"


_Reader = Callable[[Mapping[str, Any], str, "CacheTtl | None"], "Text | Media"]


def _text(part: Mapping[str, Any], at: str, cache: CacheTtl | None) -> Text:
    return Text(text(part.get("text"), f"{at}.text", empty=True), cache)


def _refusal(part: Mapping[str, Any], at: str, cache: CacheTtl | None) -> Text:
    return Text(text(part.get("refusal"), f"{at}.refusal", empty=True), cache)


def _image(part: Mapping[str, Any], at: str, cache: CacheTtl | None) -> Media:
    image = part.get("image_url")
    if isinstance(image, str):  # Mistral's spelling
        image = {"url": image}
    fields = an_object(image, f"{at}.image_url")
    detail = text(fields.get("detail") or "", f"{at}.image_url.detail", empty=True)
    mime, data, url = _located(fields.get("url"), f"{at}.image_url.url")
    return Media("image", mime, data, url, detail=detail, cache=cache)


def _video(part: Mapping[str, Any], at: str, cache: CacheTtl | None) -> Media:
    fields = an_object(part.get("video_url"), f"{at}.video_url")
    mime, data, url = _located(fields.get("url"), f"{at}.video_url.url")
    return Media("video", mime, data, url, cache=cache)


def _audio(part: Mapping[str, Any], at: str, cache: CacheTtl | None) -> Media:
    sound = an_object(part.get("input_audio"), f"{at}.input_audio")
    form = text(sound.get("format"), f"{at}.input_audio.format")
    data = base64_text(sound.get("data"), f"{at}.input_audio.data")
    return Media("audio", _MIMES.get(form, f"audio/{form}"), data, cache=cache)


def _file(part: Mapping[str, Any], at: str, cache: CacheTtl | None) -> Media:
    at = f"{at}.file"
    file = an_object(part.get("file"), at)
    name = text(file.get("filename") or "", f"{at}.filename", empty=True)
    if file.get("file_id") is not None:
        file_id = text(file["file_id"], f"{at}.file_id")
        return Media("document", file_id=file_id, dialect=VENDOR, name=name, cache=cache)
    written = text(file.get("file_data"), f"{at}.file_data")
    if written.startswith(("data:", "https://", "http://")):
        mime, data, url = _located(written, f"{at}.file_data")
        return Media("document", mime, data, url, name=name, cache=cache)
    mime = mimetypes.guess_type(name)[0] or ""
    return Media("document", mime, base64_text(written, f"{at}.file_data"), name=name, cache=cache)


SPOKEN: Mapping[str, _Reader] = {"text": _text}
ANSWERED: Mapping[str, _Reader] = {"text": _text, "refusal": _refusal}
ASKED: Mapping[str, _Reader] = {
    "text": _text,
    "image_url": _image,
    "input_audio": _audio,
    "file": _file,
    "video_url": _video,
}


_INNER: Mapping[str, tuple[str, ...]] = {
    "image_url": ("url", "detail"),
    "input_audio": ("data", "format"),
    "file": ("file_data", "file_id", "filename"),
    "video_url": ("url",),
}


def _located(value: Any, where: str) -> tuple[str, str, str]:
    """(MIME type, base64, URL): either the data or the URL is there."""
    url = text(value, where)
    if not url.startswith("data:"):
        return "", "", url
    head, comma, data = url.partition(",")
    mime, *rest = head[len("data:") :].split(";")
    if not comma or "base64" not in rest:
        raise bad(where, "a data URL must read 'data:<type>;base64,<data>'")
    return mime, base64_text(data, where), ""


def written_text(part: Text, losses: Losses, *, marks: bool) -> dict[str, Any]:
    return _marked({"type": "text", "text": part.text}, part.cache, losses, marks=marks)


def written_media(media: Media, losses: Losses, *, own: bool, marks: bool) -> dict[str, Any] | None:
    """One part; ``None`` for what this dialect cannot show a model. ``own``: the request came in this dialect."""
    part = _WRITERS[media.kind](media, own)
    if isinstance(part, str):
        losses.demand(part)
        return None
    return _marked(part, media.cache, losses, marks=marks)


def _marked(part: dict[str, Any], cache: CacheTtl | None, losses: Losses, *, marks: bool) -> dict[str, Any]:
    if cache is not None:
        if marks:
            part["cache_control"] = mark_of(cache)
        else:
            losses.hint("cache_control")
    return part


def mark_of(cache: CacheTtl) -> dict[str, str]:
    return {"type": "ephemeral"} if cache == "5m" else {"type": "ephemeral", "ttl": cache}


def _data_url(media: Media) -> str:
    return f"data:{media.mime};base64,{media.data}"


def _written_image(media: Media, own: bool) -> dict[str, Any] | str:
    if media.file_id:
        return "file_id"
    image = {"url": media.url or _data_url(media)}
    return {"type": "image_url", "image_url": {**image, "detail": media.detail} if media.detail else image}


def _written_video(media: Media, own: bool) -> dict[str, Any] | str:
    if not own or media.file_id:
        return "video"
    return {"type": "video_url", "video_url": {"url": media.url or _data_url(media)}}


def _written_audio(media: Media, own: bool) -> dict[str, Any] | str:
    form = _SOUNDS.get(media.mime) or (media.mime.removeprefix("audio/") if own else "")
    if not media.data or not form:
        return "audio"
    return {"type": "input_audio", "input_audio": {"data": media.data, "format": form}}


def _written_document(media: Media, own: bool) -> dict[str, Any] | str:
    name = {"filename": media.name} if media.name else {}
    if media.file_id:
        return {"type": "file", "file": {"file_id": media.file_id, **name}} if media.dialect == VENDOR else "file_id"
    if media.url:
        return {"type": "file", "file": {"file_data": media.url, **name}} if own else "document url"
    if not own:
        if media.mime.startswith("text/") and (words := _words(media)) is not None:
            return {"type": "text", "text": words}
        # OpenAI refuses data without a name.
        name = {"filename": media.name or f"document{mimetypes.guess_extension(media.mime) or ''}"}
    return {"type": "file", "file": {**name, "file_data": _data_url(media) if media.mime else media.data}}


def _words(media: Media) -> str | None:
    """A text document as text, under its title; ``None`` if it is not UTF-8."""
    try:
        words = base64.b64decode(media.data).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    return f"{media.name}:\n{words}" if media.name else words


_WRITERS: Mapping[str, Callable[[Media, bool], dict[str, Any] | str]] = {
    "image": _written_image,
    "document": _written_document,
    "audio": _written_audio,
    "video": _written_video,
}
