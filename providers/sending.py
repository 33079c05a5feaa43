"""What leaves for a provider: the client's own body, or its translation; and how the answer is read.

Same dialect in and out: the body's bytes go on as they came; only credentials, host and model name are replaced. (But
what another vendor sealed is taken out: ``providers.translation.foreign_seals``.)
Another dialect: the body is read once into the canonical form, and written for each target that it goes to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol
from urllib.parse import quote

import msgspec

from policies.strict_json import BodyError
from providers.addresses import VertexAddress, path_name
from providers.canonical.losses import Losses
from providers.canonical.request import Request
from providers.dialects.base import Dialect, Headers, ModelRequest, Reading, StreamReader
from providers.headers import to_upstream, unspecific
from providers.registry import Provider
from providers.services import ProviderKind, Service
from providers.translation.anthropic_request_reader import read_count
from providers.translation.base import BAD_ANSWER
from providers.translation.counting import counted_by_anthropic, counted_by_gemini, read_gemini_count
from providers.translation.embeddings import embedded_by_gemini, embedded_by_openai
from providers.translation.foreign_seals import bears_foreign_seals, without_foreign_seals
from providers.translation.plain_exchange import PlainExchange, Told
from providers.translation.translated import BACKS, FACES, Translation

_JSON = ("content-type", "application/json")
_VERSION = ("anthropic-version", "2023-06-01")


class ClientRequest(msgspec.Struct, frozen=True):
    """What a caller asked for, as it came."""

    dialect: Dialect
    request: ModelRequest
    headers: Mapping[str, str]
    query: str


class Conversion(Protocol):
    """How the answer to what was sent is told to the client."""

    def whole(self, body: bytes) -> tuple[bytes, Reading] | None:
        """The body for the client, and what it says; ``None`` if it is no answer."""

    def stream_reader(self) -> StreamReader: ...


class Sending(msgspec.Struct, frozen=True):
    """One request, ready to leave but for its credentials."""

    url: str
    headers: Headers
    body: bytes
    conversion: Conversion
    losses: Losses | None = None
    """What it lacks of what was asked; ``None`` where the client's own body goes on."""
    translated: bool = True
    """The answer comes in another dialect than the client's."""


class SameDialect(msgspec.Struct, frozen=True):
    """``Conversion`` of an answer that passes as it is."""

    dialect: Dialect
    request: ModelRequest

    def whole(self, body: bytes) -> tuple[bytes, Reading] | None:
        reading = self.dialect.read(body)
        return None if reading is None else (body, reading)

    def stream_reader(self) -> StreamReader:
        return self.dialect.stream_reader(self.request)


class PlainConversion(msgspec.Struct, frozen=True):
    """``Conversion`` of an answer that is no conversation, and never a stream."""

    told: Callable[[bytes], Told]
    dialect: Dialect
    request: ModelRequest

    def whole(self, body: bytes) -> tuple[bytes, Reading] | None:
        try:
            told = self.told(body)
        except BAD_ANSWER:
            return None
        return told.body, Reading(usage=told.usage)

    def stream_reader(self) -> StreamReader:
        return self.dialect.stream_reader(self.request)


class Sender:
    """Prepares what one call sends; made once per call."""

    __slots__ = ("_asked", "_canonical")

    def __init__(self, asked: ClientRequest) -> None:
        self._asked = asked
        self._canonical: Request | None = None

    def prepare(self, provider: Provider, model: str) -> Sending:
        """``model`` is the vendor's name. Raises ``BodyError`` for a body that cannot be translated."""
        if provider.speaks(self._asked.dialect.service, model):
            return self._same(provider, model)
        return self._translated(provider, model)

    def _same(self, provider: Provider, model: str) -> Sending:
        asked = self._asked
        dialect, request = asked.dialect, asked.request
        if request.hide_usage and not provider.stream_usage:
            request = msgspec.structs.replace(request, hide_usage=False)
        path = dialect.upstream_path(model)
        url = provider.address.url(provider.base_url, path, model, asked.query)
        body, losses = dialect.upstream_body(request, model), None
        if bears_foreign_seals(dialect.service, body):
            written = without_foreign_seals(dialect.service, request, model, provider.traits)
            body, losses = written.body, written.losses
        headers = [*to_upstream(asked.headers), _JSON]
        body = provider.address.body(path, body)
        return Sending(url, headers, body, SameDialect(dialect, request), losses, translated=False)

    def _translated(self, provider: Provider, model: str) -> Sending:
        asked = self._asked
        kind = provider.kind_of(model)
        service = asked.dialect.service
        if service not in FACES:
            return self._plain(provider, kind, model)
        request = self._read()
        back = BACKS[kind]
        written = back.write(request, model, provider.traits)
        path, query = _path(kind, model, stream=request.stream)
        return Sending(
            provider.address.url(provider.base_url, path, model, query),
            _headers(asked.headers, kind),
            provider.address.body(path, written.body),
            Translation(FACES[service], back, request, written.names),
            written.losses,
        )

    def _read(self) -> Request:
        """The canonical request. Raises ``BodyError``."""
        if self._canonical is None:
            asked = self._asked
            if asked.dialect.kind == "gemini" and asked.request.stream and "alt=sse" not in asked.query:
                raise BodyError("invalid_request", "a stream of this model is told as server-sent events: add ?alt=sse")
            read = FACES[asked.dialect.service].read
            self._canonical = read(asked.request.body, asked.request.model, stream=asked.request.stream)
        return self._canonical

    def _plain(self, provider: Provider, kind: ProviderKind, model: str) -> Sending:
        """Embeddings and token counts."""
        asked = self._asked
        exchange = _plain_exchange(asked, provider, model)
        path = _PLAIN_PATHS[kind, asked.dialect.service].format(model=quote(path_name(model), safe="/@"))
        return Sending(
            provider.address.url(provider.base_url, path, model, ""),
            _headers(asked.headers, kind),
            provider.address.body(path, exchange.body),
            PlainConversion(exchange.tell, asked.dialect, asked.request),
            exchange.losses,
        )


_PLAIN_PATHS: Mapping[tuple[ProviderKind, Service], str] = {
    ("openai", "gemini/embed"): "/embeddings",
    ("gemini", "openai/embeddings"): "/v1beta/models/{model}:batchEmbedContents",
    ("gemini", "anthropic/count_tokens"): "/v1beta/models/{model}:countTokens",
    ("anthropic", "gemini/count_tokens"): "/v1/messages/count_tokens",
}


def _plain_exchange(asked: ClientRequest, provider: Provider, model: str) -> PlainExchange:
    body, name = asked.request.body, asked.request.model
    match asked.dialect.service:
        case "openai/embeddings":
            return embedded_by_gemini(body, model)
        case "gemini/embed":
            return embedded_by_openai(body, model)
        case "gemini/count_tokens":
            return counted_by_anthropic(read_gemini_count(body, name), model, provider.traits)
        case _:
            vertex = isinstance(provider.address, VertexAddress)
            return counted_by_gemini(read_count(body, name), model, provider.traits, vertex=vertex)


def _headers(headers: Mapping[str, str], kind: ProviderKind) -> Headers:
    found = [*unspecific(headers), _JSON]
    if kind == "anthropic":
        found.append(_VERSION)
    return found


def _path(kind: ProviderKind, model: str, *, stream: bool) -> tuple[str, str]:
    """Path and query of a model's answer, as the vendor's own API names them."""
    if kind == "openai":
        return "/chat/completions", ""
    if kind == "anthropic":
        return "/v1/messages", ""
    if kind == "gemini":
        name = quote(path_name(model), safe="/@")
        return (
            (f"/v1beta/models/{name}:streamGenerateContent", "alt=sse")
            if stream
            else (f"/v1beta/models/{name}:generateContent", "")
        )
    return f"/model/{quote(path_name(model), safe='')}/{'converse-stream' if stream else 'converse'}", ""
