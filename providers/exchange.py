"""One exchange with one provider: sends a model call and reports what happens.

What is sent, and how its answer is told to the client, is ``providers.sending``; what a failure becomes for the client
is ``providers.errors``.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from policies.dispatch import Attempt
from policies.egress import ByteResponse, HttpTransport, TransportFailure
from policies.strict_json import BodyError
from policies.types import FailureClass, Outcome
from providers.caching.model_calls import kept_of
from providers.credentials.base import Credentials, CredentialsUnavailable
from providers.dialects.base import Headers, StreamReader
from providers.dialects.sse import data_of
from providers.errors import Failures, without_secrets
from providers.failures import failure_class, message_of, retry_after_s
from providers.headers import from_another, to_client, value_of
from providers.registry import Provider
from providers.replies import HttpReply, StreamHead
from providers.sending import ClientRequest, Sender, Sending
from providers.services import ProviderKind
from providers.translation.translated import TranslatedStream

MAX_ERROR_BYTES = 1024 * 1024
DROPPED = "x-tollkeeper-dropped"
"""Header of an answer: what of the request its provider was not told."""
_KEY_HEADERS: Mapping[ProviderKind, str] = {
    "openai": "x-api-key",
    "anthropic": "x-api-key",
    "gemini": "x-goog-api-key",
    "converse": "x-api-key",
}
"""Where a caller's own key stands beside ``Authorization``: one vendor's key never goes to another."""
_STREAMS = ("text/event-stream", "application/vnd.amazon.eventstream")
_LONGEST_DROPPED = 1_000
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")


@dataclass(frozen=True, slots=True)
class Wire:
    """How providers are reached, and how much is taken from them."""

    transport: HttpTransport
    is_virtual_key: Callable[[str], bool]
    max_reply_bytes: int


class Exchange:
    """Of one call; made again for every attempt."""

    __slots__ = ("_failures", "_sender", "_wire", "asked")

    def __init__(self, wire: Wire, asked: ClientRequest) -> None:
        self._wire = wire
        self.asked = asked
        self._failures = Failures(asked.dialect)
        self._sender = Sender(asked)

    async def make(self, attempt: Attempt, provider: Provider) -> Outcome:
        """Send it to ``provider``, and report what comes."""
        sending = self._prepared(attempt, provider)
        if isinstance(sending, Outcome):
            return sending
        if provider.credentials is None:
            credentials = self._own_or_configured(provider, attempt.target.account)
        else:
            credentials = await self._fetched(provider.credentials, provider.name, sending)
        if isinstance(credentials, Outcome):
            return credentials
        headers = [*sending.headers, *credentials]
        attempt.sent_ns = time.time_ns()
        attempt.progress = "sent"
        try:
            response = await self._wire.transport.open("POST", sending.url, headers, sending.body, provider.timeouts)
        except TransportFailure as failure:
            if not failure.sent:
                attempt.progress = "unsent"
            return self._failures.broke(provider.name, failure)
        try:
            return await self._receive(attempt, provider, sending, response)
        except TransportFailure as failure:
            attempt.answered_ns = time.time_ns()
            return self._failures.broke(provider.name, failure)
        finally:
            response.close()

    def _prepared(self, attempt: Attempt, provider: Provider) -> Sending | Outcome:
        try:
            sending = self._sender.prepare(provider, attempt.target.name)
        except BodyError as error:
            return self._failures.bad_request(error)
        if sending.losses is not None and sending.losses.demands:
            if provider.unsupported == "refuse":
                return self._failures.unsupported(provider.name, sending.losses.demands)
            attempt.keep_bytes = 0  # the answer to less than was asked is not kept as the answer to it
        return sending

    async def _receive(self, attempt: Attempt, provider: Provider, sending: Sending, response: ByteResponse) -> Outcome:
        attempt.first_byte_ns = time.time_ns()
        content_type = value_of(response.headers, "content-type") or ""
        if response.status >= 400:
            return await self._upstream_error(attempt, provider, sending, response)
        if content_type.startswith(_STREAMS):
            return await self._stream(attempt, provider, sending, response)
        body = await response.read(self._wire.max_reply_bytes)
        attempt.answered_ns = time.time_ns()
        found = sending.conversion.whole(body)
        if found is None:
            return self._failures.failed(
                "upstream_invalid_reply", f"{provider.name} answered {response.status} with something that is not JSON."
            )
        told, reading = found
        for tool_use_id in reading.tool_use_ids:
            attempt.tool_use(tool_use_id)
        attempt.output_bytes = len(body)
        return Outcome(
            kind="ok",
            reply=HttpReply(response.status, _headers(sending, response, "application/json"), told),
            status=response.status,
            usage=reading.usage,
            upstream_request_id=_request_id(response),
            stop_reason=reading.stop_reason,
            kept=kept_of(self.asked.dialect, attempt, "body", told) if attempt.keep_bytes > 0 else None,
        )

    async def _stream(self, attempt: Attempt, provider: Provider, sending: Sending, response: ByteResponse) -> Outcome:
        reader = sending.conversion.stream_reader()
        head = StreamHead(
            response.status,
            [*_headers(sending, response, "text/event-stream"), ("x-tollkeeper-provider", provider.name)],
        )
        broken: str | None = None  # not the exception: a frame that holds its own is a circle
        told: list[bytes] = []
        room = attempt.keep_bytes
        try:
            async for chunk in response.chunks():
                data = reader.feed(chunk)
                if not attempt.committed:
                    if (broken_off := self._begins_with_error(provider, reader, chunk)) is not None:
                        attempt.answered_ns = time.time_ns()
                        return broken_off
                    if not data:
                        continue
                    attempt.emit(head)
                if room > 0:
                    kept = data if sending.translated else chunk
                    room -= len(kept)
                    told.append(kept)
                _forward(attempt, reader, data)
                if attempt.output_bytes > attempt.covered_bytes and not await attempt.cover():
                    return self._exhausted(attempt, reader)
                await attempt.room()
        except TransportFailure as failure:
            broken = failure.code
        rest = reader.finish()
        if rest and not attempt.committed:
            attempt.emit(head)
        attempt.answered_ns = time.time_ns()
        if not attempt.committed:
            # Nothing has come: somebody else may still answer.
            return self._failures.failed(
                "upstream_cut", f"{provider.name} broke off its answer before it began.", failure="outage"
            )
        _forward(attempt, reader, rest)
        if sending.translated:
            told.append(rest)
        if reader.ended:
            whole = b"".join(told) if room >= 0 and broken is None else b""
            return Outcome(
                kind="ok",
                status=response.status,
                usage=reader.usage,
                upstream_request_id=_request_id(response),
                stop_reason=reader.stop_reason,
                kept=kept_of(self.asked.dialect, attempt, "stream", whole),
            )
        return self._broken_off(attempt, provider, reader, broken, response)

    def _broken_off(
        self,
        attempt: Attempt,
        provider: Provider,
        reader: StreamReader,
        broken: str | None,
        response: ByteResponse,
    ) -> Outcome:
        """The client has heard a part, and now hears why there is no more."""
        told = reader.failed if isinstance(reader, TranslatedStream) else None
        if told is not None:
            code, message = "upstream_error", f"{provider.name}: {told.message}"
        else:
            code = broken if broken == "upstream_timeout" else "upstream_cut"
            message = f"{provider.name} broke off its answer before the end."
            attempt.emit(self._broken(reader, code, message))
        return Outcome(
            kind="failed",
            code=code,
            message=message,
            usage=reader.usage,
            upstream_request_id=_request_id(response),
            failure="outage",
        )

    def _broken(self, reader: StreamReader, code: str, message: str) -> bytes:
        if isinstance(reader, TranslatedStream):
            return reader.broken(code, message)
        return self.asked.dialect.error_event(code, message)

    def _begins_with_error(self, provider: Provider, reader: StreamReader, chunk: bytes) -> Outcome | None:
        """A stream whose first event is an error has not begun (Anthropic: ``overloaded_error`` with status 200)."""
        if isinstance(reader, TranslatedStream):
            if reader.failed is None:
                return None
            kind, message = reader.failed.kind, reader.failed.message
        elif chunk.startswith((b"event: error", b'data: {"error"', b'data: {"type":"error"')):
            kind = "rate_limit" if b"rate_limit" in chunk[:MAX_ERROR_BYTES] else ""
            message = message_of(data_of(chunk))
        else:
            return None
        failure: FailureClass = "rate" if "rate_limit" in kind or "throttl" in kind.lower() else "outage"
        status = 429 if failure == "rate" else 503  # what it would have been, had the vendor not begun with 200
        return self._failures.failed(
            "upstream_error", f"{provider.name}: {message}", status=status, reply_status=status, failure=failure
        )

    def _exhausted(self, attempt: Attempt, reader: StreamReader) -> Outcome:
        """A budget ended in the middle of an answer, and the operator wants the answer cut there."""
        attempt.answered_ns = time.time_ns()
        message = "A budget of this key is used up: the answer was cut off here."
        attempt.emit(self._broken(reader, "budget_exhausted", message))
        return Outcome(kind="failed", code="budget_exhausted", message=message, usage=reader.usage)

    async def _upstream_error(
        self, attempt: Attempt, provider: Provider, sending: Sending, response: ByteResponse
    ) -> Outcome:
        status = response.status
        body = without_secrets(await response.read(MAX_ERROR_BYTES), (key.secret for key in provider.keys))
        attempt.answered_ns = time.time_ns()
        request_id = _request_id(response)
        failure = failure_class(status, body, own_key=provider.auth == "key")
        if failure == "credentials":
            return self._failures.credentials(provider.name, status, request_id)
        message = message_of(body)
        if status == 404:
            told = f"{provider.name} does not know {attempt.target.name!r}: {message}"
            return self._failures.failed("upstream_not_found", told, status=status, request_id=request_id)
        asked = retry_after_s(value_of(response.headers, "retry-after"), value_of(response.headers, "retry-after-ms"))
        headers = _headers(sending, response, "application/json")
        if sending.translated:
            reply = self._failures.told(status, f"{provider.name}: {message}", headers, failure)
        else:
            reply = HttpReply(status, headers, body)
        return Outcome(
            kind="failed",
            code="upstream_error",
            message=message,
            reply=reply,
            status=status,
            upstream_request_id=request_id,
            failure=failure,
            retry_after_s=asked,
        )

    async def _fetched(self, source: Credentials, name: str, sending: Sending) -> Sequence[tuple[str, str]] | Outcome:
        try:
            return await source.headers("POST", sending.url, sending.body)
        except CredentialsUnavailable as error:
            message = f"No credentials for {name}: {error}"
            return self._failures.failed("upstream_credentials", message, failure="credentials")

    def _own_or_configured(self, provider: Provider, account: str) -> Sequence[tuple[str, str]] | Outcome:
        if provider.auth == "key":
            return provider.auth_headers[account]
        own = self.own_credentials()
        if not own:
            return self._failures.failed(
                "passthrough_credential_missing",
                f"{provider.name} takes the caller's own credential: send it as Authorization or x-api-key, "
                "and the virtual key as x-bf-vk.",
                reply_status=401,
            )
        return own

    def own_credentials(self) -> Headers:
        """What the caller sent beside its virtual key."""
        names = ("authorization", _KEY_HEADERS[self.asked.dialect.kind])
        own = [(n, self.asked.headers[n]) for n in names if n in self.asked.headers]
        return [(n, v) for n, v in own if not self._wire.is_virtual_key(v.rpartition(" ")[2])]


def _headers(sending: Sending, response: ByteResponse, content_type: str) -> Headers:
    """What the client gets of the answer's headers, and what its provider was not told."""
    headers = from_another(response.headers, content_type) if sending.translated else to_client(response.headers)
    if sending.losses is not None and (dropped := sending.losses.all()):
        # A field's name is the caller's own choice: nothing of it may end the header's line.
        headers.append((DROPPED, _UNPRINTABLE.sub("?", ", ".join(dropped))[:_LONGEST_DROPPED]))
    return headers


def _forward(attempt: Attempt, reader: StreamReader, data: bytes) -> None:
    if data:
        attempt.emit(data, len(data))
    attempt.output_bytes = reader.content_bytes
    attempt.usage = reader.usage
    for tool_use_id in reader.new_tool_uses():
        attempt.tool_use(tool_use_id)


def _request_id(response: ByteResponse) -> str | None:
    return value_of(response.headers, "request-id", "x-request-id", "x-amzn-requestid")
