"""What may leave: a URL that the guard allows, and a request head in which nothing can be smuggled.

A head is checked as a whole: every line that was written ends with one CR LF, so a value that holds another one is
found by counting (RFC 9112, section 2.2 and 5; RFC 9110, section 5.5).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from policies.egress import EgressGuard, TransportFailure, Trust
from policies.proxies import Proxies, Proxy

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_OURS = frozenset({"content-length", "transfer-encoding", "connection", "expect", "upgrade", "te", "trailer"})
"""Fields that say how a message is framed: whoever else wrote them could make two requests of one."""
_ASCII = "".join(map(chr, range(0x21, 0x7F)))
_PORTS = {"http": 80, "https": 443}
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})


class Endpoint(NamedTuple):
    """What a pooled connection may be used for: the same peer, with the same degree of trust."""

    trust: Trust
    scheme: str
    host: str
    port: int
    proxy: Proxy | None = None
    """Through which it is reached."""


class Target(NamedTuple):
    """A judged URL."""

    endpoint: Endpoint
    authority: str
    """The ``Host`` field."""
    path: str
    """With its query; ASCII. Where a proxy forwards the request, the whole URL (RFC 9112, section 3.2.2)."""
    for_proxy: str = ""
    """A header line for a proxy that forwards the request."""


@lru_cache(maxsize=1024)
def target_of(guard: EgressGuard, proxies: Proxies, url: str, trust: Trust) -> Target:
    """Where ``url`` leads. Raises ``TransportFailure('egress_denied')``. The few addresses of the configuration
    come again and again; addresses of hosts are judged at every connect, not here. What somebody else than the operator
    names goes through no proxy, which would resolve the name unjudged."""
    reason = guard.judge_url(url, trust)
    if reason is not None:
        raise denied("The address", reason)  # not the URL itself: it may hold a credential
    parts = urlsplit(url)
    try:
        host = (parts.hostname or "").encode("ascii" if parts.netloc.isascii() else "idna").decode()
    except UnicodeError:
        raise denied("The address", "the host's name is not valid") from None
    port = parts.port or _PORTS[parts.scheme]
    name = f"[{host}]" if ":" in host else host
    path = quote(parts.path, safe=_ASCII) or "/"
    query = f"?{quote(parts.query, safe=_ASCII)}" if parts.query else ""
    authority = name if port == _PORTS[parts.scheme] else f"{name}:{port}"
    proxy = proxies.of(parts.scheme, host, port) if trust == "operator" else None
    endpoint = Endpoint(trust, parts.scheme, host, port, proxy)
    if proxy is not None and parts.scheme == "http":
        return Target(endpoint, authority, f"http://{authority}{path}{query}", proxy.field_line)
    return Target(endpoint, authority, path + query)


def head_of(method: str, target: Target, headers: Sequence[tuple[str, str]], length: int) -> bytes:
    """The request's head, for a body of ``length`` bytes. Raises ``TransportFailure`` if a field cannot be sent."""
    begin = f"{method} {target.path} HTTP/1.1\r\nhost: {target.authority}\r\naccept-encoding: identity\r\n"
    lines = [begin + target.for_proxy]
    expected = 5 if target.for_proxy else 4
    if length or method in _WITH_BODY:
        lines.append(f"content-length: {length}\r\n")
        expected += 1
    for name, value in headers:
        if not _may_be_sent(name):
            raise _refused(name)
        lines.append(f"{name}: {value}\r\n")
    lines.append("\r\n")
    text = "".join(lines)
    lines_sent = expected + len(headers)
    if text.count("\n") != lines_sent or text.count("\r") != lines_sent or "\0" in text:
        raise _refused(next(name for name, value in headers if not _plain(value)))
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode()


def denied(what: str, reason: str) -> TransportFailure:
    return TransportFailure("egress_denied", f"{what} may not be reached: {reason}.", sent=False)


@lru_cache(maxsize=1024)
def _may_be_sent(name: str) -> bool:
    return _TOKEN.fullmatch(name) is not None and name.lower() not in _OURS


def _plain(value: str) -> bool:
    return not any(character in value for character in "\r\n\0")


def _refused(name: str) -> TransportFailure:
    return TransportFailure(
        "egress_denied", f"The header field {name[:80]!r} may not be sent: it would change the message.", sent=False
    )
