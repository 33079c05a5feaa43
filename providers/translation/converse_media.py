"""Images, documents, films and sounds as Converse's blocks
(https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ContentBlock.html): bytes, or an object in S3."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from providers.canonical.losses import Losses
from providers.canonical.parts import UNSAID_DETAILS, Media, MediaKind

_FORMATS: Mapping[MediaKind, Mapping[str, str]] = {
    "image": {
        "image/png": "png",
        "image/jpeg": "jpeg",
        "image/jpg": "jpeg",
        "image/gif": "gif",
        "image/webp": "webp",
    },
    "document": {
        "application/pdf": "pdf",
        "text/csv": "csv",
        "application/msword": "doc",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
        "application/vnd.ms-excel": "xls",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
        "text/html": "html",
        "text/markdown": "md",
        "text/x-markdown": "md",
        "application/json": "txt",
    },
    "video": {
        "video/mp4": "mp4",
        "video/quicktime": "mov",
        "video/x-matroska": "mkv",
        "video/webm": "webm",
        "video/x-flv": "flv",
        "video/mpeg": "mpeg",
        "video/x-ms-wmv": "wmv",
        "video/3gpp": "three_gp",
    },
    "audio": {
        "audio/mpeg": "mp3",
        "audio/mp3": "mp3",
        "audio/wav": "wav",
        "audio/wave": "wav",
        "audio/x-wav": "wav",
        "audio/aac": "aac",
        "audio/flac": "flac",
        "audio/mp4": "mp4",
        "audio/m4a": "m4a",
        "audio/ogg": "ogg",
        "audio/opus": "opus",
        "audio/webm": "webm",
        "audio/pcm": "pcm",
        "audio/l16": "pcm",
    },
}
_ENDINGS: Mapping[MediaKind, Mapping[str, str]] = {
    "image": {"png": "png", "jpg": "jpeg", "jpeg": "jpeg", "gif": "gif", "webp": "webp"},
    "document": {ending: ending for ending in ("pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md")},
    "video": {ending: ending for ending in ("mkv", "mov", "mp4", "webm", "flv", "mpeg", "mpg", "wmv")},
    "audio": {ending: ending for ending in ("mp3", "opus", "wav", "aac", "flac", "mp4", "ogg", "mka", "m4a", "webm")},
}
_ANY_BYTES = "application/octet-stream"
_ENDING = re.compile(r"\.[A-Za-z0-9]{1,5}$")
_UNNAMABLE = re.compile(r"[^A-Za-z0-9\-()\[\]]+")
_LONGEST_NAME = 200


class MediaWriter:
    """Of one request: names of documents are unique in it."""

    __slots__ = ("_losses", "_names")

    def __init__(self, losses: Losses) -> None:
        self._losses = losses
        self._names: set[str] = set()

    def block(self, media: Media) -> dict[str, Any] | None:
        """``None`` for what Converse cannot take, which is then among the losses."""
        source = self._source(media)
        if source is None:
            return None
        form = _format(media)
        if not form:
            self._losses.demand(f"{media.kind} of type {media.mime or 'unknown'}")
            return None
        if media.detail not in UNSAID_DETAILS:
            self._losses.hint("detail")
        inner: dict[str, Any] = {"format": form}
        if media.kind == "document":
            inner["name"] = self._name(media.name)
        inner["source"] = source
        return {media.kind: inner}

    def _source(self, media: Media) -> dict[str, Any] | None:
        if media.data:
            return {"bytes": media.data}
        if media.url.startswith("s3://"):
            return {"s3Location": {"uri": media.url}}
        self._losses.demand("file_id" if media.file_id else f"{media.kind}.url" if media.url else media.kind)
        return None

    def _name(self, title: str) -> str:
        """Letters, digits, hyphens, brackets and single spaces are allowed, and the model reads them."""
        stem = _UNNAMABLE.sub(" ", _ENDING.sub("", title)).strip()[: _LONGEST_NAME - 8].rstrip() or "document"
        name, count = stem, 1
        while name in self._names:
            count += 1
            name = f"{stem} ({count})"
        self._names.add(name)
        return name


def _format(media: Media) -> str:
    """By its type, or by its name where the type says nothing; empty where neither is known here."""
    mime = media.mime.partition(";")[0].strip().lower()
    if form := _FORMATS[media.kind].get(mime):
        return form
    if mime.startswith("text/"):
        return "txt" if media.kind == "document" else ""
    if mime and mime != _ANY_BYTES:
        return ""
    return _ENDINGS[media.kind].get((media.name or media.url).rpartition(".")[2].lower(), "")
