"""Which headers cross the gate, in both directions: by allowlist, so that nothing leaks by default.

Upstream never sees a virtual key, a cookie, the gate's own headers or a hop-by-hop header; the client
sees what helps it (request ids, rate limits) and nothing of the gate's accounts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

FORWARDED = frozenset(
    {
        "accept",
        "anthropic-beta",
        "anthropic-version",
        "anthropic-dangerous-direct-browser-access",
        "openai-beta",
        "originator",
        "session-id",
        "thread-id",
        "traceparent",
        "tracestate",
        "user-agent",
        "x-app",
        "x-client-request-id",
        "x-goog-api-client",
    }
)
_UNSPECIFIC = ("traceparent", "tracestate", "user-agent")
FORWARDED_PREFIXES = ("x-stainless-", "x-codex-", "x-claude-code-")

RETURNED = frozenset({"content-type", "request-id", "x-request-id", "retry-after", "retry-after-ms", "x-should-retry"})
_RETURNED_ALWAYS = RETURNED - {"content-type"}
RETURNED_PREFIXES = ("anthropic-ratelimit-", "x-ratelimit-", "openai-")


def to_upstream(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    """The client's headers that go on, in their order."""
    return [
        (name, value) for name, value in headers.items() if name in FORWARDED or name.startswith(FORWARDED_PREFIXES)
    ]


def unspecific(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    """The client's headers that go on to a vendor of another dialect: what its own vendor alone reads stays here."""
    return [(name, headers[name]) for name in _UNSPECIFIC if name in headers]


def to_client(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The upstream's headers that go back."""
    return [(name, value) for name, value in headers if name in RETURNED or name.startswith(RETURNED_PREFIXES)]


def from_another(headers: Iterable[tuple[str, str]], content_type: str) -> list[tuple[str, str]]:
    """The headers that go back when the answer was translated. Rate limits are told in the vendor's own names, which
    a client of another dialect does not read."""
    kept = [(name, value) for name, value in headers if name in _RETURNED_ALWAYS]
    return [("content-type", content_type), *kept]


def value_of(headers: Iterable[tuple[str, str]], *names: str) -> str | None:
    """The first header that has one of ``names``."""
    for name, value in headers:
        if name in names:
            return value
    return None
