"""The way out: which address may be reached, and the seam that every outbound HTTP call goes through.

One decision (``EgressGuard.judge``) that every transport enforces after name resolution and on
every redirect. What the operator wrote in the configuration file is trusted (``Trust.operator``:
a local model server is the normal case); what a caller or a member names is not
(``Trust.foreign``: public addresses only, https unless loopback was allowed).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Literal, Protocol
from urllib.parse import urlsplit

Trust = Literal["operator", "foreign"]

METADATA_ADDRESSES = frozenset({ip_address("169.254.169.254"), ip_address("fd00:ec2::254")})
"""Cloud metadata services: refused even to the operator's own entries (credential theft by DNS)."""


@dataclass(frozen=True, slots=True)
class EgressGuard:
    """Judges URLs and resolved addresses. ``allow_private`` opens private ranges to foreign URLs."""

    allow_private: bool = False

    def judge_url(self, url: str, trust: Trust) -> str | None:
        """The reason why ``url`` may not be reached, or ``None`` when it may."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https"):
            return f"scheme {parts.scheme or 'missing'!r} is not http or https"
        if not parts.hostname:
            return "the URL names no host"
        if parts.username is not None or parts.password is not None:
            return "the URL carries credentials; put them into headers"
        if trust == "foreign" and parts.scheme != "https" and not self.allow_private:
            return "a URL that a server names must be https"
        return None

    def judge_address(self, address: str, trust: Trust) -> str | None:
        """The reason why the resolved ``address`` may not be connected to, or ``None``."""
        ip: IPv4Address | IPv6Address = ip_address(address.split("%", 1)[0])
        if isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None:
            ip = ip.ipv4_mapped
        if ip in METADATA_ADDRESSES:
            return f"{ip} is a cloud metadata address"
        if trust == "operator" or self.allow_private:
            return None
        if not ip.is_global or ip.is_multicast:
            return f"{ip} is not a public address"
        return None


class TransportFailure(Exception):
    """The exchange broke below HTTP: refused, reset, timed out, TLS, or forbidden by the guard.

    ``code`` is stable (``upstream_unreachable``, ``upstream_timeout``, ``upstream_reset``,
    ``upstream_tls``, ``egress_denied``, ``upstream_invalid_http``). ``sent`` is False only if no byte
    of the request can have reached the peer, so that a retry is certainly safe.
    """

    def __init__(self, code: str, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.code = code
        self.sent = sent


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds. ``head``: from request sent to response head. ``idle``: between two body chunks."""

    connect: float = 5.0
    head: float = 600.0
    idle: float = 300.0


class ByteResponse(Protocol):
    """An HTTP answer whose body arrives piece by piece, undecoded (``accept-encoding: identity``)."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Sequence[tuple[str, str]]:
        """Names in lower case, in order, repeated ones kept."""

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives; raises ``TransportFailure`` when it is cut."""

    async def read(self, limit: int) -> bytes:
        """The whole body; raises ``TransportFailure('upstream_too_large')`` past ``limit`` bytes."""

    def close(self) -> None:
        """Release the connection: back to the pool if the body was read to its end, else dropped."""


class HttpTransport(Protocol):
    """The pooled HTTP client behind every outbound call. No redirects are followed."""

    async def open(
        self,
        method: str,
        url: str,
        headers: Sequence[tuple[str, str]],
        body: bytes,
        timeouts: Timeouts,
        trust: Trust = "operator",
    ) -> ByteResponse:
        """Send a request and return at the response head. Raises ``TransportFailure`` only.

        Cancelling the awaiting task closes the connection.
        """
