"""What a provider's failure becomes for the client: the same in every dialect, in the dialect's own envelope.

| upstream | client gets | code |
|---|---|---|
| 401, 402, 403 | 502: the operator's credential is wrong, not the caller's key | ``upstream_credentials`` |
| 404 | 502 with the upstream's message: Claude Code replaces the text of a 404 and retries | ``upstream_not_found`` |
| a prompt too long | the status, in words at which agents shorten their prompt | ``context_length_exceeded`` |
| other 4xx, 5xx | the same status; the body as it is, or its message in the client's envelope | ``upstream_error`` |
| no connection, reset, TLS | 502 | ``upstream_unreachable``, ``upstream_reset``, ``upstream_tls`` |
| no answer in time | 504 | ``upstream_timeout`` |
| 200 that is not JSON, or too large | 502 | ``upstream_invalid_reply``, ``upstream_too_large`` |
| a stream without its end | the dialect's error event | ``upstream_cut`` |
| not sent: the target's dialect cannot express it | 400 that names the fields | ``unsupported_feature`` |
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from policies.egress import TransportFailure
from policies.strict_json import BodyError
from policies.types import FailureClass, Json, Outcome, Refusal, RefusalKind
from providers.dialects.base import Dialect, Headers
from providers.replies import HttpReply

_OUTAGE_CODES = frozenset(
    {"upstream_unreachable", "upstream_reset", "upstream_tls", "upstream_timeout", "upstream_invalid_http"}
)
_STATUS: Mapping[str, int] = {"upstream_timeout": 504}
_CREDENTIALS = "The provider {name!r} rejected the gate's own credential (status {status}); the operator must mend it."
_SECRET_LEAST = 8
"""A shorter key is no secret (``none``, ``lab``), and would be found in ordinary words."""


class Failures:
    """Outcomes of one call's failures, rendered in its client's dialect."""

    __slots__ = ("_dialect",)

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect

    def failed(
        self,
        code: str,
        message: str,
        *,
        status: int = 0,
        reply_status: int = 0,
        request_id: str | None = None,
        failure: FailureClass = "final",
    ) -> Outcome:
        """``status`` is the upstream's, ``reply_status`` the client's (502 where none is said)."""
        told = reply_status or _STATUS.get(code, 502)
        return Outcome(
            kind="failed",
            code=code,
            message=message,
            reply=self._reply(told, "unavailable", code, message),
            status=status,
            upstream_request_id=request_id,
            failure=failure,
        )

    def broke(self, provider: str, failure: TransportFailure) -> Outcome:
        """No answer, or one that broke off while it was being read whole."""
        kind: FailureClass = "outage" if failure.code in _OUTAGE_CODES else "final"
        return self.failed(failure.code, f"{provider}: {failure}", failure=kind)

    def credentials(self, provider: str, status: int, request_id: str | None) -> Outcome:
        message = _CREDENTIALS.format(name=provider, status=status)
        return self.failed("upstream_credentials", message, status=status, request_id=request_id, failure="credentials")

    def bad_request(self, error: BodyError) -> Outcome:
        """The caller's own mistake, found when the body was to be translated."""
        details: dict[str, Json] = {} if error.field is None else {"field": error.field}
        reply = self._reply(400, "request", error.code, error.message, details)
        return Outcome(kind="failed", code=error.code, message=error.message, reply=reply, failure="final")

    def unsupported(self, provider: str, fields: Iterable[str]) -> Outcome:
        """What was asked cannot be told to this provider, and nobody said that it may be left out."""
        named = ", ".join(fields)
        message = (
            f"The provider {provider!r} cannot be asked for: {named}. Leave it out, ask for another model, or let the "
            "operator set 'unsupported: drop' for this provider."
        )
        details: dict[str, Json] = {"field": named, "provider": provider}
        reply = self._reply(400, "request", "unsupported_feature", message, details)
        return Outcome(kind="failed", code="unsupported_feature", message=message, reply=reply, failure="unsupported")

    def told(self, status: int, message: str, headers: Headers, failure: FailureClass) -> HttpReply:
        """An error of a provider of another dialect, in the client's envelope."""
        kind: RefusalKind = "rate" if status == 429 else "unavailable" if status >= 500 else "request"
        code = "upstream_error"
        if failure == "context":
            # Claude Code and others shorten the conversation at these words, and at this code.
            code, message = "context_length_exceeded", f"prompt is too long: {message}"
        reply = self._reply(status, kind, code, message)
        kept = [(name, value) for name, value in headers if name != "content-type"]
        return HttpReply(status, [("content-type", "application/json"), *kept], reply.body)

    def _reply(
        self, status: int, kind: RefusalKind, code: str, message: str, details: Mapping[str, Json] | None = None
    ) -> HttpReply:
        refusal = Refusal(kind=kind, code=code, message=message, details=details or {})
        _, headers, body = self._dialect.refusal_body(refusal)
        return HttpReply(status, headers, body)


def without_secrets(body: bytes, secrets: Iterable[str]) -> bytes:
    """An error body without the gate's own keys: some vendors repeat the key that they refuse."""
    for secret in secrets:
        if len(secret) >= _SECRET_LEAST and (found := secret.encode()) in body:
            body = body.replace(found, b"[key]")
    return body
