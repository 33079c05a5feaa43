"""A connection to an endpoint: its name resolved, every address judged, one after another tried, TLS spoken.

The guard judges all addresses of a name before any is connected to, and the connection is made to the address that
was judged, never to the name again: between the two a name cannot change its meaning (DNS rebinding).

Where a proxy stands between, it is the proxy's name that is resolved and judged here; the host's is resolved by the
proxy, and judged here only if it is an address.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence

from gateway.transport.connection import Connection
from gateway.transport.request import Endpoint, denied
from gateway.transport.tunnel import Tunnel
from policies.egress import EgressGuard, TransportFailure
from policies.proxies import Proxy, is_address

ADDRESS_S = 30.0
"""How long a resolved name is remembered."""
MOST_NAMES = 1024
LEAST_ATTEMPT_S = 1.0
"""What one of several addresses gets at least, when the time is divided among them."""

Make = Callable[[Endpoint, asyncio.AbstractEventLoop], Connection]


class Dialer:
    """Of one transport. ``tls``: the one context of the process; made at the first need, as it takes 20 ms."""

    def __init__(self, guard: EgressGuard, make: Make, tls: ssl.SSLContext | None = None) -> None:
        self._guard = guard
        self._make = make
        self._tls = tls
        self._known: dict[tuple[str, int], tuple[float, Sequence[str]]] = {}

    async def dial(self, endpoint: Endpoint, seconds: float) -> Connection:
        """A new connection within ``seconds`` for name, connect and TLS together. Raises ``TransportFailure``, always
        with ``sent=False``."""
        try:
            async with asyncio.timeout(seconds):
                return await self._reach(endpoint, await self._addresses(self._next_hop(endpoint)), seconds)
        except TimeoutError:
            message = f"No connection to {endpoint.host} within {seconds:g} s."
            raise TransportFailure("upstream_unreachable", message, sent=False) from None
        except ssl.SSLError as error:
            raise TransportFailure("upstream_tls", f"TLS with the upstream failed: {error}", sent=False) from None
        except (OSError, UnicodeError) as error:
            message = f"The upstream cannot be reached: {error}"
            raise TransportFailure("upstream_unreachable", message, sent=False) from None

    def _next_hop(self, endpoint: Endpoint) -> Endpoint:
        """What is connected to: the host itself or the proxy before it."""
        proxy = endpoint.proxy
        if proxy is None:
            return endpoint
        if is_address(endpoint.host) and (reason := self._guard.judge_address(endpoint.host, endpoint.trust)):
            raise denied(endpoint.host, reason)
        return Endpoint("operator", "http", proxy.host, proxy.port)

    async def _addresses(self, endpoint: Endpoint) -> Sequence[str]:
        """All addresses of the host, allowed by the guard."""
        loop = asyncio.get_running_loop()
        name = endpoint.host, endpoint.port
        known = self._known.get(name)
        if known is None or known[0] < loop.time():
            found = await loop.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
            addresses = _interleaved([str(entry[4][0]) for entry in found])
            if len(self._known) >= MOST_NAMES:
                self._known.clear()
            known = self._known[name] = loop.time() + ADDRESS_S, addresses
        for address in known[1]:
            reason = self._guard.judge_address(address, endpoint.trust)
            if reason is not None:
                raise denied(endpoint.host, f"it has an address that may not be reached, {reason}")
        return known[1]

    async def _reach(self, endpoint: Endpoint, addresses: Sequence[str], seconds: float) -> Connection:
        """The first address that answers; an address that is silent takes only its share of the time."""
        reason = f"{endpoint.host} has no address"  # not the exception: a frame that holds its own is a circle
        share = max(LEAST_ATTEMPT_S, seconds / max(1, len(addresses)))
        for address in addresses:
            try:
                async with asyncio.timeout(share):
                    return await self._connect(endpoint, address)
            except ssl.SSLError:
                raise
            except OSError as error:  # a timeout is one too
                reason = f"{address} did not answer" if isinstance(error, TimeoutError) else str(error)
        hop = self._next_hop(endpoint)
        self._known.pop((hop.host, hop.port), None)
        raise OSError(reason)

    async def _connect(self, endpoint: Endpoint, address: str) -> Connection:
        loop = asyncio.get_running_loop()
        secure = endpoint.scheme == "https"
        if secure and endpoint.proxy is not None:
            return await self._through(endpoint.proxy, endpoint, address)
        _, connection = await loop.create_connection(
            lambda: self._make(endpoint, loop),
            address,
            endpoint.proxy.port if endpoint.proxy is not None else endpoint.port,
            ssl=self._context() if secure else None,
            server_hostname=endpoint.host if secure else None,
        )
        return connection

    async def _through(self, proxy: Proxy, endpoint: Endpoint, address: str) -> Connection:
        """TLS with the host, whose certificate is judged as ever, inside a tunnel through the proxy."""
        loop = asyncio.get_running_loop()
        transport, tunnel = await loop.create_connection(lambda: Tunnel(loop), address, proxy.port)
        try:
            await tunnel.open(transport, proxy, endpoint.host, endpoint.port)
            connection = self._make(endpoint, loop)
            secured = await loop.start_tls(transport, connection, self._context(), server_hostname=endpoint.host)
            if secured is None:
                raise ConnectionResetError("the connection was closed during the handshake")
        except BaseException:
            transport.abort()
            raise
        connection.connection_made(secured)
        return connection

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
            self._tls.set_alpn_protocols(["http/1.1"])
        return self._tls


def _interleaved(addresses: Sequence[str]) -> list[str]:
    """IPv6 and IPv4 in turn (RFC 8305, section 4), so that a family that leads nowhere costs one attempt."""
    unique = list(dict.fromkeys(addresses))
    families = [[a for a in unique if ":" in a], [a for a in unique if ":" not in a]]
    if unique and ":" not in unique[0]:
        families.reverse()
    longest = max(map(len, families))
    return [family[at] for at in range(longest) for family in families if at < len(family)]
