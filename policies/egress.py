"""The way out: which address may be reached, and the seam that every outbound HTTP call goes through.

One decision (``EgressGuard.judge``) that every transport enforces after name resolution and on
every redirect. What the operator wrote in the configuration file is trusted (``Trust.operator``:
a local model server is the normal case); what a caller or a member names is not
(``Trust.foreign``: public addresses only, https unless loopback was allowed).
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Literal, Protocol
from urllib.parse import urlsplit

Trust = Literal["operator", "foreign"]

METADATA_ADDRESSES = frozenset(
    ip_address(address)
    for address in (
        "169.254.169.254",  # AWS, Azure, Google, Oracle and others
        "fd00:ec2::254",  # AWS
        "169.254.170.2",  # AWS ECS task credentials
        "169.254.170.23",  # AWS EKS pod identity
        "fd00:ec2::23",  # AWS EKS pod identity
        "fd20:ce::254",  # Google
        "100.100.100.200",  # Alibaba
        "168.63.129.16",  # Azure's host agent, on a public address
        "192.0.0.192",  # Oracle, classic
    )
)
"""Cloud metadata services: refused even to the operator's own entries (credential theft by DNS)."""

_NAT64 = IPv6Network("64:ff9b::/96")
"""RFC 6052: the IPv4 address is in the last 32 bits; a network without IPv4 reaches the world so."""
_UNICAST = IPv6Network("2000::/3")
"""All that IANA has given out as global unicast; the rest of the space is special or reserved."""
_SPECIAL_V6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments, Teredo among them (RFC 2928, RFC 4380)
        "2001:db8::/32",  # documentation (RFC 3849)
        "3fff::/20",  # documentation (RFC 9637)
    )
)
_SPECIAL_V4 = (IPv4Network("192.0.0.0/24"), IPv4Network("192.88.99.0/24"))
"""Protocol assignments (RFC 6890) and 6to4 relays (RFC 7526), which ``is_global`` lets pass in part."""


@dataclass(frozen=True, slots=True, eq=False)
class EgressGuard:
    """Judges URLs and resolved addresses. ``allow_private`` opens private ranges to foreign URLs. Its hash is its
    identity: it is part of what a judged URL is remembered by, looked up for every call."""

    allow_private: bool = False

    def judge_url(self, url: str, trust: Trust) -> str | None:
        """The reason why ``url`` may not be reached, or ``None`` when it may."""
        if _UNPRINTABLE.search(url) is not None or "\\" in url.partition("?")[0]:
            return "the URL contains a blank, a control character or a backslash, which parsers read differently"
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            return f"the URL is malformed: {error}"
        if port == 0:
            return "port 0 cannot be reached"
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
        """The reason why the resolved ``address`` may not be connected to, or ``None``.

        An IPv6 address that stands for an IPv4 one (mapped, NAT64, 6to4) is judged as that one.
        """
        try:
            ip = _meant(ip_address(address.partition("%")[0]))
        except ValueError:
            return f"{address!r} is not an IP address in its usual notation"
        if ip in METADATA_ADDRESSES:
            return f"{ip} is a cloud metadata address"
        if trust == "operator" or self.allow_private:
            return None
        return None if _public(ip) else f"{ip} is not a public address"


_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f]")


def _meant(ip: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 one stands for, else ``ip`` itself."""
    if isinstance(ip, IPv4Address):
        return ip
    if ip in _NAT64:
        return IPv4Address(int(ip) & 0xFFFF_FFFF)
    return ip.ipv4_mapped or ip.sixtofour or ip


def _public(ip: IPv4Address | IPv6Address) -> bool:
    if isinstance(ip, IPv6Address):
        return ip in _UNICAST and not any(ip in network for network in _SPECIAL_V6)
    return ip.is_global and not ip.is_multicast and not any(ip in network for network in _SPECIAL_V4)


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
