"""One exchange with one provider: sends a model call and reports what happens.

Same dialect in and out: the body's bytes go on as they came, only credentials, host and model name are
replaced. What an upstream's failure becomes for the client:

| upstream | client gets | code |
|---|---|---|
| 401, 403 | 502: the operator's credential is wrong, not the caller's key | ``upstream_credentials`` |
| 404 | 502 with the upstream's message: Claude Code replaces the text of a 404 and retries | ``upstream_not_found`` |
| other 4xx, 5xx | the same status and body | ``upstream_error`` |
| no connection, reset, TLS | 502 | ``upstream_unreachable``, ``upstream_reset``, ``upstream_tls`` |
| no answer in time | 504 | ``upstream_timeout`` |
| 200 that is not JSON, or too large | 502 | ``upstream_invalid_reply``, ``upstream_too_large`` |
| a stream without its end | the dialect's error event | ``upstream_cut`` |
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from policies.dispatch import Attempt
from policies.egress import ByteResponse, HttpTransport, TransportFailure
from policies.types import FailureClass, Outcome, Refusal
from providers.caching.model_calls import kept_of
from providers.dialects.base import Dialect, Headers, ModelRequest, StreamReader
from providers.dialects.sse import data_of
from providers.failures import failure_class, message_of, retry_after_s
from providers.headers import to_client, to_upstream, value_of
from providers.registry import Provider, ProviderKind
from providers.replies import HttpReply, StreamHead

MAX_ERROR_BYTES = 1024 * 1024
_KEY_HEADERS: Mapping[ProviderKind, str] = {
    "openai": "x-api-key",
    "anthropic": "x-api-key",
    "gemini": "x-goog-api-key",
}
"""Where a caller's own key stands beside ``Authorization``: one vendor's key never goes to another."""
_OUTAGE_CODES = frozenset(
    {"upstream_unreachable", "upstream_reset", "upstream_tls", "upstream_timeout", "upstream_invalid_http"}
)
_STATUS = {"upstream_timeout": 504}
_CREDENTIALS = "The provider {name!r} rejected the gate's own credential (status {status}); the operator must mend it."


@dataclass(frozen=True, slots=True)
class Wire:
    """How providers are reached, and how much is taken from them."""

    transport: HttpTransport
    is_virtual_key: Callable[[str], bool]
    max_reply_bytes: int


class ClientRequest(msgspec.Struct, frozen=True):
    """What a caller asked for, as it came."""

    dialect: Dialect
    request: ModelRequest
    headers: Mapping[str, str]
    query: str


class Exchange:
    """Of one call; made again for every attempt."""

    __slots__ = ("_wire", "asked")

    def __init__(self, wire: Wire, asked: ClientRequest) -> None:
        self._wire = wire
        self.asked = asked

    async def make(self, attempt: Attempt, provider: Provider) -> Outcome:
        """Send it to ``provider``, and report what comes."""
        credentials = self._credentials(provider, attempt.target.account)
        if isinstance(credentials, Outcome):
            return credentials
        model = attempt.target.name
        body = self.asked.dialect.upstream_body(self._asked_of(provider), model)
        url = provider.address(self.asked.dialect.upstream_path(model), model, self.asked.query)
        headers = [*to_upstream(self.asked.headers), ("content-type", "application/json"), *credentials]
        attempt.sent_ns = time.time_ns()
        attempt.progress = "sent"
        try:
            response = await self._wire.transport.open("POST", url, headers, body, provider.timeouts)
        except TransportFailure as failure:
            if not failure.sent:
                attempt.progress = "unsent"
            return self._failed(provider, failure)
        try:
            return await self._receive(attempt, provider, response)
        except TransportFailure as failure:
            attempt.answered_ns = time.time_ns()
            return self._failed(provider, failure)
        finally:
            response.close()

    def _asked_of(self, provider: Provider) -> ModelRequest:
        """The request without what the provider would refuse."""
        if provider.stream_usage or not self.asked.request.hide_usage:
            return self.asked.request
        return msgspec.structs.replace(self.asked.request, hide_usage=False)

    async def _receive(self, attempt: Attempt, provider: Provider, response: ByteResponse) -> Outcome:
        attempt.first_byte_ns = time.time_ns()
        content_type = value_of(response.headers, "content-type") or ""
        if response.status >= 400:
            return await self._upstream_error(attempt, provider, response)
        if content_type.startswith("text/event-stream"):
            return await self._stream(attempt, provider, response)
        body = await response.read(self._wire.max_reply_bytes)
        attempt.answered_ns = time.time_ns()
        reading = self.asked.dialect.read(body)
        if reading is None:
            return self._failure(
                "upstream_invalid_reply", f"{provider.name} answered {response.status} with something that is not JSON."
            )
        for tool_use_id in reading.tool_use_ids:
            attempt.tool_use(tool_use_id)
        attempt.output_bytes = len(body)
        return Outcome(
            kind="ok",
            reply=HttpReply(response.status, to_client(response.headers), body),
            status=response.status,
            usage=reading.usage,
            upstream_request_id=_request_id(response),
            stop_reason=reading.stop_reason,
            kept=kept_of(self.asked.dialect, attempt, "body", body),
        )

    async def _stream(self, attempt: Attempt, provider: Provider, response: ByteResponse) -> Outcome:
        reader = self.asked.dialect.stream_reader(self._asked_of(provider))
        headers = [*to_client(response.headers), ("x-tollkeeper-provider", provider.name)]
        failure: TransportFailure | None = None
        whole: list[bytes] = []
        room = attempt.keep_bytes
        try:
            async for chunk in response.chunks():
                if not attempt.committed:
                    if (broken_off := self._begins_with_error(provider, chunk)) is not None:
                        attempt.answered_ns = time.time_ns()
                        return broken_off
                    attempt.emit(StreamHead(response.status, headers))
                if room > 0:
                    room -= len(chunk)
                    whole.append(chunk)
                _forward(attempt, reader, reader.feed(chunk))
                if attempt.output_bytes > attempt.covered_bytes and not await attempt.cover():
                    return self._exhausted(attempt, reader)
                await attempt.room()
        except TransportFailure as broken:
            failure = broken
        if not attempt.committed:
            # Nothing has come: somebody else may still answer.
            attempt.answered_ns = time.time_ns()
            return self._failure(
                "upstream_cut", f"{provider.name} broke off its answer before it began.", failure="outage"
            )
        _forward(attempt, reader, reader.finish())
        attempt.answered_ns = time.time_ns()
        if reader.ended:
            return Outcome(
                kind="ok",
                status=response.status,
                usage=reader.usage,
                upstream_request_id=_request_id(response),
                stop_reason=reader.stop_reason,
                kept=kept_of(self.asked.dialect, attempt, "stream", b"".join(whole))
                if room >= 0 and failure is None
                else None,
            )
        code = failure.code if failure is not None and failure.code == "upstream_timeout" else "upstream_cut"
        message = f"{provider.name} broke off its answer before the end."
        attempt.emit(self.asked.dialect.error_event(code, message))
        return Outcome(
            kind="failed",
            code=code,
            message=message,
            usage=reader.usage,
            upstream_request_id=_request_id(response),
            failure="outage",
        )

    def _begins_with_error(self, provider: Provider, chunk: bytes) -> Outcome | None:
        """A stream whose first event is an error has not begun (Anthropic: ``overloaded_error`` with status 200)."""
        if not chunk.startswith((b"event: error", b'data: {"error"', b'data: {"type":"error"')):
            return None
        failure: FailureClass = "rate" if b"rate_limit" in chunk[:MAX_ERROR_BYTES] else "outage"
        status = 429 if failure == "rate" else 503  # what it would have been, had the vendor not begun with 200
        message = f"{provider.name}: {message_of(data_of(chunk))}"
        return self._failure("upstream_error", message, status=status, reply_status=status, failure=failure)

    def _exhausted(self, attempt: Attempt, reader: StreamReader) -> Outcome:
        """A budget ended in the middle of an answer, and the operator wants the answer cut there."""
        attempt.answered_ns = time.time_ns()
        message = "A budget of this key is used up: the answer was cut off here."
        attempt.emit(self.asked.dialect.error_event("budget_exhausted", message))
        return Outcome(kind="failed", code="budget_exhausted", message=message, usage=reader.usage)

    async def _upstream_error(self, attempt: Attempt, provider: Provider, response: ByteResponse) -> Outcome:
        status = response.status
        body = await response.read(MAX_ERROR_BYTES)
        attempt.answered_ns = time.time_ns()
        request_id = _request_id(response)
        failure = failure_class(status, body, own_key=provider.auth == "key")
        if failure == "credentials":
            message = _CREDENTIALS.format(name=provider.name, status=status)
            return self._failure("upstream_credentials", message, status=status, request_id=request_id, failure=failure)
        if status == 404:
            message = f"{provider.name} does not know {attempt.target.name!r}: {message_of(body)}"
            return self._failure("upstream_not_found", message, status=status, request_id=request_id)
        asked = retry_after_s(value_of(response.headers, "retry-after"), value_of(response.headers, "retry-after-ms"))
        return Outcome(
            kind="failed",
            code="upstream_error",
            message=message_of(body),
            reply=HttpReply(status, to_client(response.headers), body),
            status=status,
            upstream_request_id=request_id,
            failure=failure,
            retry_after_s=asked,
        )

    def _credentials(self, provider: Provider, account: str) -> Sequence[tuple[str, str]] | Outcome:
        if provider.auth == "key":
            return provider.auth_headers[account]
        own = self.own_credentials()
        if not own:
            return self._failure(
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

    def _failed(self, provider: Provider, failure: TransportFailure) -> Outcome:
        """No answer, or one that broke off while it was being read whole."""
        kind: FailureClass = "outage" if failure.code in _OUTAGE_CODES else "final"
        return self._failure(failure.code, f"{provider.name}: {failure}", failure=kind)

    def _failure(
        self,
        code: str,
        message: str,
        *,
        status: int = 0,
        reply_status: int = 0,
        request_id: str | None = None,
        failure: FailureClass = "final",
    ) -> Outcome:
        """A failure of the upstream, rendered in the client's dialect."""
        _, headers, body = self.asked.dialect.refusal_body(Refusal(kind="unavailable", code=code, message=message))
        return Outcome(
            kind="failed",
            code=code,
            message=message,
            reply=HttpReply(reply_status or _STATUS.get(code, 502), headers, body),
            status=status,
            upstream_request_id=request_id,
            failure=failure,
        )


def _forward(attempt: Attempt, reader: StreamReader, data: bytes) -> None:
    if data:
        attempt.emit(data, len(data))
    attempt.output_bytes = reader.content_bytes
    attempt.usage = reader.usage
    for tool_use_id in reader.new_tool_uses():
        attempt.tool_use(tool_use_id)


def _request_id(response: ByteResponse) -> str | None:
    return value_of(response.headers, "request-id", "x-request-id")
