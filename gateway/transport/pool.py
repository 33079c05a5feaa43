"""Idle connections by endpoint, and the transport that hands requests to them.

**A connection that the peer closed.** A pooled connection may have been closed by the peer in the moment in which a
request is written to it. Who is right to send the request again?

| client | repeats a POST on a fresh connection |
|---|---|
| Go ``net/http`` | only if nothing was written, or the close was seen before the write |
| urllib3, ``requests`` | only if the close was seen before the write |
| aiohttp | never; idempotent methods once |
| here | only if the close was seen before the write; idempotent methods (RFC 9110, section 9.2.2) once |

A model call costs money and a tool call acts, so what may have been processed is not repeated here: whoever asked
is told ``upstream_reset`` with ``sent=True``, and the retry rules above, which keep the books of every attempt, decide.
To make the case rare the socket is looked at before it is used, the connection that was used last is taken first,
and none is kept longer than ``IDLE_S``, or than the peer says in ``Keep-Alive``.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence

from gateway.transport.connection import Connection
from gateway.transport.dialing import Dialer
from gateway.transport.request import Endpoint, head_of, target_of
from gateway.transport.response import PooledResponse
from gateway.transport.tunnel import PROXY_AUTHENTICATION_REQUIRED, way_refused
from policies.egress import EgressGuard, Timeouts, TransportFailure, Trust
from policies.proxies import DIRECT, Proxies

IDLE_S = 60.0
"""How long an idle connection is kept: a new one costs round trips and, with TLS, 2 ms of CPU."""
_SWEEP_S = 5.0
_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"})


class Pool:
    """Idle connections, the last used first. ``idle_s``: see ``IDLE_S``."""

    def __init__(self, idle_s: float = IDLE_S) -> None:
        self._idle_s = idle_s
        self._loop = asyncio.get_running_loop()
        self._idle: dict[Endpoint, list[Connection]] = {}
        self._all: set[Connection] = set()
        self._sweeper: asyncio.TimerHandle | None = None

    def make(self, endpoint: Endpoint, loop: asyncio.AbstractEventLoop) -> Connection:
        return Connection(endpoint, loop, self)

    def take(self, endpoint: Endpoint) -> Connection | None:
        """An idle connection that is still good; those that are not are dropped."""
        idle = self._idle.get(endpoint)
        if not idle:
            return None
        now = self._loop.time()
        while idle:
            connection = idle.pop()
            if now - connection.idle_since < self._patience(connection) and connection.usable():
                return connection
            connection.abort()
        return None

    def close(self) -> None:
        """Drop all, busy ones too."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        self._idle.clear()
        for connection in tuple(self._all):
            connection.abort()

    @property
    def idle(self) -> int:
        """How many connections wait for a call."""
        return sum(map(len, self._idle.values()))

    def made(self, connection: Connection) -> None:
        self._all.add(connection)

    def released(self, connection: Connection) -> None:
        loop = self._loop
        connection.idle_since = loop.time()
        self._idle.setdefault(connection.endpoint, []).append(connection)
        if self._sweeper is None:
            self._sweeper = loop.call_later(min(_SWEEP_S, self._idle_s), self._sweep, loop)

    def lost(self, connection: Connection) -> None:
        self._all.discard(connection)
        idle = self._idle.get(connection.endpoint, [])
        if connection in idle:
            idle.remove(connection)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        """Close what has been idle for too long; one timer for all of them."""
        now = loop.time()
        for endpoint, idle in tuple(self._idle.items()):
            kept = [connection for connection in idle if now - connection.idle_since < self._patience(connection)]
            for connection in idle:
                if connection not in kept:
                    connection.abort()
            if kept:
                self._idle[endpoint] = kept
            else:
                del self._idle[endpoint]
        self._sweeper = loop.call_later(min(_SWEEP_S, self._idle_s), self._sweep, loop) if self._idle else None

    def _patience(self, connection: Connection) -> float:
        """A second less than the peer's own, if it said so: its clock started earlier."""
        return self._idle_s if connection.promised_s is None else min(self._idle_s, connection.promised_s - 1)


class PooledTransport:
    """``policies.egress.HttpTransport``. Make it inside a running loop; ``await close()`` at the end."""

    def __init__(
        self,
        guard: EgressGuard,
        tls: ssl.SSLContext | None = None,
        idle_s: float = IDLE_S,
        proxies: Proxies = DIRECT,
    ) -> None:
        self._guard = guard
        self._proxies = proxies
        self._pool = Pool(idle_s)
        self._dialer = Dialer(guard, self._pool.make, tls)

    async def open(
        self,
        method: str,
        url: str,
        headers: Sequence[tuple[str, str]],
        body: bytes,
        timeouts: Timeouts,
        trust: Trust = "operator",
    ) -> PooledResponse:
        target = target_of(self._guard, self._proxies, url, trust)
        head = head_of(method, target, headers, len(body))
        connection = self._pool.take(target.endpoint)
        if connection is not None:
            response = connection.send(method, head, body, timeouts)
            try:
                await response.head()
                return _of_host(response, target.endpoint)
            except TransportFailure as failure:
                if failure.code != "upstream_reset" or method not in _IDEMPOTENT:
                    raise
        connection = await self._dialer.dial(target.endpoint, timeouts.connect)
        response = connection.send(method, head, body, timeouts)
        await response.head()
        return _of_host(response, target.endpoint)

    async def close(self) -> None:
        self._pool.close()


def _of_host(response: PooledResponse, endpoint: Endpoint) -> PooledResponse:
    """The answer, if it is the host's and not that of a proxy that wants to know who asks."""
    if response.status == PROXY_AUTHENTICATION_REQUIRED and endpoint.proxy is not None and endpoint.scheme == "http":
        response.close()
        raise way_refused(endpoint.proxy, endpoint.host, endpoint.port, response.status)
    return response
