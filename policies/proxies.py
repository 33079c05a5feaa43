"""Which proxy the way out leads through, by the variables that every HTTP client knows: ``HTTPS_PROXY``, ``HTTP_PROXY``
and ``NO_PROXY``, in small letters or capitals (of both, the small ones count, as with curl).

There is no specification; this is what curl (https://everything.curl.dev/usingcurl/proxies/env.html) and Go
(https://pkg.go.dev/golang.org/x/net/http/httpproxy) agree on, without ``ALL_PROXY``. This machine itself is never
reached through a proxy. What cannot be followed is refused when the gate starts: to leave without the proxy that an
operator has named would be worse than not to leave.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Literal
from urllib.parse import unquote, urlsplit

Scheme = Literal["http", "https"]

_VARIABLES: Mapping[Scheme, str] = {"https": "https_proxy", "http": "http_proxy"}
_SPARED = "no_proxy"
_PORT = 80
_HOST = re.compile(r"[A-Za-z0-9._:-]+")
_ENTRY = re.compile(r"\*(?=[\s,]|$)|[^\s,]*\w[^\s,]*")
"""``*`` alone, or what holds at least a letter or a digit: a lone dot must not spare every host."""
_WITH_PORT = re.compile(r"(\[[^\]]+\]|[^:]+):(\d+)")


class ProxyError(ValueError):
    """A variable names a proxy that cannot be used. The message has the variable's name and nothing of its value."""


@dataclass(frozen=True, slots=True, eq=False)
class Proxy:
    """One proxy, spoken to in plain HTTP. ``authorization``: the value of ``Proxy-Authorization``."""

    host: str
    port: int
    authorization: str | None = field(default=None, repr=False)

    @property
    def field_line(self) -> str:
        """The header line that only the proxy is to see; empty where it wants none."""
        return f"proxy-authorization: {self.authorization}\r\n" if self.authorization is not None else ""

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Spared:
    """An entry of ``NO_PROXY``: a network, or a domain with all below it (an empty one: every host), at one port or at
    all."""

    network: IPv4Network | IPv6Network | None
    domain: str = ""
    port: int | None = None

    def means(self, host: str, port: int) -> bool:
        if self.port not in (None, port):
            return False
        if self.network is not None:
            address = _address(host)
            return address is not None and address in self.network
        asked = host.lower().rstrip(".")
        return not self.domain or asked == self.domain or asked.endswith(f".{self.domain}")


@dataclass(frozen=True, slots=True, eq=False)
class Proxies:
    """All of a process. Its hash is its identity: it is part of what a judged URL is remembered by."""

    by_scheme: Mapping[Scheme, Proxy] = field(default_factory=dict)
    spared: tuple[Spared, ...] = ()

    def of(self, scheme: str, host: str, port: int) -> Proxy | None:
        """The proxy for a URL's scheme, host and port; ``None``: the host itself is connected to."""
        proxy = self.by_scheme.get("https" if scheme == "https" else "http")
        if proxy is None or _is_here(host) or any(entry.means(host, port) for entry in self.spared):
            return None
        return proxy


DIRECT = Proxies()


def from_environment(environ: Mapping[str, str]) -> Proxies:
    """Raises ``ProxyError``."""
    found = {scheme: _said(environ, name) for scheme, name in _VARIABLES.items()}
    proxies = {scheme: _proxy(_VARIABLES[scheme].upper(), said) for scheme, said in found.items() if said}
    return Proxies(proxies, tuple(map(_spared, _ENTRY.findall(_said(environ, _SPARED)))))


def _said(environ: Mapping[str, str], name: str) -> str:
    return (environ.get(name) or environ.get(name.upper()) or "").strip()


def _proxy(variable: str, said: str) -> Proxy:
    try:
        parts = urlsplit(said if "://" in said else f"http://{said}")
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ProxyError(f"{variable} is not the address of a proxy, such as http://proxy.example.com:3128.") from None
    if parts.scheme != "http":
        raise ProxyError(
            f"{variable} names a proxy of another kind, and the gate speaks to http:// proxies only: name such a one, "
            "or unset the variable for the gate."
        )
    if not host or _HOST.fullmatch(host) is None:
        raise ProxyError(f"{variable} names no host: it is to look like http://proxy.example.com:3128.")
    authorization = None
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        authorization = f"Basic {base64.b64encode(pair).decode()}"
    return Proxy(host, port or _PORT, authorization)


def _spared(entry: str) -> Spared:
    with_port = _WITH_PORT.fullmatch(entry)
    name, port = (with_port[1], int(with_port[2])) if with_port is not None else (entry, None)
    try:
        return Spared(ip_network(name.strip("[]"), strict=False), port=port)
    except ValueError:
        return Spared(None, name.lower().removeprefix("*").strip("."), port)


def is_address(host: str) -> bool:
    """Whether a URL's host is an IP address and no name."""
    return _address(host) is not None


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _is_here(host: str) -> bool:
    address = _address(host)
    name = host.lower().rstrip(".")
    return address.is_loopback if address is not None else name == "localhost" or name.endswith(".localhost")
