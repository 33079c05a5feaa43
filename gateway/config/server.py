"""The process: where it listens, how much it accepts, where it keeps its books."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from typing import Annotated, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag, WithJsonSchema

from gateway.config.limits import Enforcement
from gateway.config.values import Pattern, Seconds, Section, Url

MEBIBYTE = 1024 * 1024


def is_loopback(host: str) -> bool:
    """Whether a bind address reaches this machine only: ``localhost``, ``127.0.0.0/8``, ``::1``."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _check_host_name(value: str) -> str:
    if not re.fullmatch(r"[^/\s@]+", value):
        raise ValueError("must be a host name, with or without port, such as gate.example.com")
    return value


def _check_origin(value: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/\s@]+", value):
        raise ValueError("must be an origin without path, such as https://app.example.com")
    return value


def _check_network(value: str) -> str:
    try:
        ip_network(value, strict=False)
    except ValueError:
        raise ValueError("must be an IP address or network, such as 10.0.0.0/8") from None
    return value


def _check_store(*schemes: str) -> AfterValidator:
    def check(value: str) -> str:
        if value.split(":", 1)[0] not in schemes:
            raise ValueError(f"must begin with one of: {', '.join(f'{s}:' for s in schemes)}")
        return value

    return AfterValidator(check)


def _check_counters(value: str) -> str:
    if value != "memory" and not value.startswith(("redis://", "rediss://")):
        raise ValueError("must be memory or a redis:// address")
    return value


HostName = Annotated[str, AfterValidator(_check_host_name)]
Origin = Annotated[str, AfterValidator(_check_origin)]
Network = Annotated[str, AfterValidator(_check_network)]


class Server(Section):
    """Where the gateway listens and under which names it may be addressed."""

    host: str = Field(
        default="127.0.0.1",
        min_length=1,
        description="Address to bind. Anything but loopback needs `public_url` or `allowed_hosts`.",
    )
    port: int = Field(default=8080, ge=0, le=65_535, description="TCP port; 0 takes a free one.")
    public_url: Url | None = Field(default=None, description="Address that clients use, when it is not `host:port`.")
    allowed_hosts: tuple[HostName, ...] = Field(
        default=(), description="Host names that requests may carry, beside loopback names and that of `public_url`."
    )
    allowed_origins: tuple[Origin, ...] = Field(
        default=(), description="Web origins whose pages may call the gateway, such as `https://app.example.com`."
    )
    trusted_proxies: tuple[Network, ...] = Field(
        default=(), description="Addresses or networks (CIDR) whose `X-Forwarded-*` headers are believed."
    )


class Limits(Section):
    """Bounds of the process itself."""

    max_body_bytes: int = Field(
        default=32 * MEBIBYTE,
        ge=1024,
        le=1024 * MEBIBYTE,
        description="Bytes of a request body; a larger one gets 413.",
    )
    max_reply_bytes: int = Field(
        default=64 * MEBIBYTE,
        ge=1024,
        le=1024 * MEBIBYTE,
        description="Bytes of an unstreamed answer of a provider or MCP server; a larger one is an upstream error.",
    )
    max_sessions: int = Field(
        default=256, ge=1, le=100_000, description="Sessions kept open to MCP servers; the longest idle one makes room."
    )
    session_idle_seconds: Seconds = Field(
        default=900.0, description="Seconds without a call after which a session to an MCP server is closed."
    )
    max_client_sessions: int = Field(
        default=10_000, ge=1, le=1_000_000, description="Sessions of MCP clients of the initialize era."
    )
    free_calls_per_minute: int = Field(
        default=600,
        ge=1,
        le=10**9,
        description="Calls of one key per minute that cost nothing: token counting and completion.",
    )
    stream_keep_alive_seconds: Seconds = Field(
        default=15.0, description="Seconds of silence of a model's stream after which its client is sent a comment."
    )
    client_session_idle_seconds: Seconds = Field(
        default=3600.0, description="Seconds without a request after which such a client session ends."
    )


OutputTokens = Annotated[int, Field(ge=1, le=1_000_000)]
ExpectedOutput = Annotated[
    Annotated[OutputTokens, Tag("all")] | Annotated[dict[Pattern, OutputTokens], Tag("models")],
    Discriminator(lambda value: "models" if isinstance(value, dict) else "all"),
]


class Budgets(Section):
    """How budgets are enforced, unless a payer says otherwise for itself."""

    enforcement: Enforcement = Field(
        default="expected",
        description="`expected` holds the input and a typical length of the answer; the overshoot is bounded and on "
        "the row. `strict` holds the request's `max_tokens` and never overruns.",
    )
    expected_output_tokens: ExpectedOutput = Field(
        default=4096,
        description="Output tokens held for an answer with `enforcement: expected`, until a key's own answers have "
        'taught better: one number, or one by model pattern, `{gpt-4o: 1000, "*": 4096}`.',
    )
    on_exhausted: Literal["finish", "cut"] = Field(
        default="finish", description="What happens to a running stream whose budget ends: it finishes, or is cut."
    )
    unknown_price: Literal["deny", "estimate", "zero"] = Field(
        default="estimate",
        description="A model without a known price: refused; charged as the provider's dearest, with a warning on the "
        "row; or free.",
    )
    outage_allowance: float = Field(
        default=0.1,
        gt=0,
        le=1,
        description="Share of every limit that one process may use while the counter store is gone (no unit).",
    )
    on_store_outage: Literal["deny", "allowance"] = Field(
        default="allowance",
        description="When the counter store is gone: refuse calls, or go on within a bounded allowance.",
    )


LedgerStore = Annotated[
    str, _check_store("sqlite", "postgresql"), WithJsonSchema({"type": "string", "pattern": "^(sqlite|postgresql):"})
]
CounterStore = Annotated[
    str, AfterValidator(_check_counters), WithJsonSchema({"type": "string", "pattern": "^(memory$|rediss?://)"})
]


def _check_answers(value: str) -> str:
    if value not in ("memory", "sqlite") and not value.startswith(("redis://", "rediss://")):
        raise ValueError("must be memory, sqlite or a redis:// address")
    return value


AnswerStore = Annotated[
    str,
    AfterValidator(_check_answers),
    WithJsonSchema({"type": "string", "pattern": "^(memory$|sqlite$|rediss?://)"}),
]


class Stores(Section):
    """Where the books, the counters and kept answers are."""

    ledger: LedgerStore | None = Field(
        default=None, description="`sqlite:///PATH` or `postgresql://…`. Absent: SQLite in the state directory."
    )
    counters: CounterStore = Field(default="memory", description="`memory` for one process, `redis://…` for several.")
    cache: AnswerStore | None = Field(
        default=None,
        description="Kept answers: `sqlite` (a file in the state directory), `memory`, or `redis://…` for several "
        "processes. Absent: the Redis of `counters` if there is one, else `sqlite`.",
    )


class Ledger(Section):
    """What is kept of the ledger. Bodies are never stored."""

    retention_days: int = Field(default=30, ge=1, le=36_500, description="Days that a row is kept.")
    max_rows: int = Field(
        default=5_000_000,
        ge=1_000,
        le=10**10,
        description="Rows that are kept; beyond it the oldest go (about 2 GB at the default). Daily sums stay.",
    )
