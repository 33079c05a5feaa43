"""A model call for the cache: what of it can change the answer, and its answer as it is kept."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from policies.caching.keys import digest
from policies.caching.vocabulary import Answerable, Bypass, Form, Kept, Replayed
from policies.dispatch import Attempt
from providers.caching.base import DialectCaching, keep
from providers.caching.chat import ChatCaching
from providers.caching.gemini import GeminiCaching, GeminiEmbeddingsCaching
from providers.caching.messages import MessagesCaching
from providers.caching.replay import replay
from providers.caching.responses import EmbeddingsCaching, ResponsesCaching
from providers.dialects.base import Dialect, Headers, ModelRequest

CACHING: Mapping[str, DialectCaching] = {
    "chat": ChatCaching(),
    "responses": ResponsesCaching(),
    "messages": MessagesCaching(),
    "embeddings": EmbeddingsCaching(),
    "generate": GeminiCaching(),
    "embed": GeminiEmbeddingsCaching(),
}
"""By operation: those whose answers may be kept."""
_SSE = "alt=sse"
_NO_TOOLS = (b"[]", b"null")


def answerable(
    dialect: Dialect, request: ModelRequest, headers: Mapping[str, str], query: str, own: Headers
) -> Answerable | Bypass:
    """``own``: the credentials that a passthrough provider gets from the caller. One person's entitlement answers
    for nobody else."""
    caching = CACHING.get(dialect.operation)
    if caching is None:
        return Bypass("unsupported")
    if dialect.kind == "gemini" and request.stream and _SSE not in query:
        return Bypass("unsupported")  # an array, which no kept answer is told as
    found = caching.answerable(request)
    if isinstance(found, Bypass):
        return found
    if query:
        query = "&".join(part for part in query.split("&") if part and part != _SSE)  # a form, like ``stream``
    more = {f"header {name}": headers[name].encode() for name in dialect.decisive_headers if name in headers}
    more["operation"] = dialect.operation.encode()
    if query:
        more["query"] = query.encode()
    if own:
        more["caller"] = digest(part.encode() for pair in own for part in pair)
    form = ("stream" if request.hide_usage else "stream with usage") if request.stream else "body"
    alone = _offers(request, "tools") or _offers(request, "functions")
    return msgspec.structs.replace(found, fields={**found.fields, **more}, form=form, alone=alone)


def _offers(request: ModelRequest, field: str) -> bool:
    raw = request.body.get(field)
    return raw is not None and bytes(raw) not in _NO_TOOLS


def kept_of(dialect: Dialect, attempt: Attempt, form: Form, data: bytes) -> Kept | None:
    """The answer for the cache, if the call takes part and it ended well."""
    caching = CACHING.get(dialect.operation)
    if caching is None or not 0 < len(data) <= attempt.keep_bytes:
        return None
    return keep(caching, form, data)


def replayed(dialect: Dialect, request: ModelRequest, kept: Kept) -> Replayed | None:
    """A kept answer as ``request`` wants it."""
    caching = CACHING.get(dialect.operation)
    return None if caching is None else replay(dialect, caching, request, kept)
