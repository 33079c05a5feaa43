"""The pooled HTTP client behind ``policies.egress.HttpTransport``: one aiohttp session per process.

One TLS context, one pool, no limit of connections below the concurrency of the calls; no redirect is
followed, no cookie kept, nothing decompressed (``accept-encoding: identity`` is sent). Every resolved
address passes the egress guard before it is connected to.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from multidict import CIMultiDict
from yarl import URL

from policies.egress import EgressGuard, Timeouts, TransportFailure, Trust


class EgressDenied(OSError):
    """The guard said no to an address."""


class GuardedResolver(AbstractResolver):
    """Resolves names and lets through only what the guard allows to one degree of trust."""

    def __init__(self, guard: EgressGuard, trust: Trust) -> None:
        self._guard = guard
        self._trust = trust
        self._inner = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        for entry in found:
            reason = self._guard.judge_address(entry["host"], self._trust)
            if reason is not None:
                raise EgressDenied(f"{host} resolves to an address that may not be reached: {reason}")
        return found

    async def close(self) -> None:
        await self._inner.close()


class AiohttpResponse:
    """``policies.egress.ByteResponse`` over an aiohttp response."""

    __slots__ = ("_idle", "_response", "_timed_out", "_timer", "_waiting_since", "headers", "status")

    def __init__(self, response: aiohttp.ClientResponse, idle: float) -> None:
        self._response = response
        self._idle = idle
        self._timer: asyncio.TimerHandle | None = None
        self._waiting_since: float | None = None
        self._timed_out = False
        self.status: int = response.status
        self.headers: Sequence[tuple[str, str]] = [
            (name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in response.raw_headers
        ]

    async def chunks(self) -> AsyncIterator[bytes]:
        content = self._response.content
        loop = asyncio.get_running_loop()
        self._arm(loop, self._idle)
        try:
            while True:
                self._waiting_since = loop.time()
                chunk = await content.readany()
                self._waiting_since = None
                if not chunk:
                    return
                yield chunk
        except (aiohttp.ClientError, OSError) as error:
            if self._timed_out:
                raise TransportFailure(
                    "upstream_timeout", f"The upstream sent nothing for {self._idle:g} seconds.", sent=True
                ) from None
            raise _failure(error, sent=True) from None
        finally:
            self._disarm()

    async def read(self, limit: int) -> bytes:
        parts: list[bytes] = []
        size = 0
        async for chunk in self.chunks():
            size += len(chunk)
            if size > limit:
                self.close()
                raise TransportFailure("upstream_too_large", f"The answer is larger than {limit} bytes.", sent=True)
            parts.append(chunk)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def close(self) -> None:
        self._disarm()
        if self._response.content.at_eof():
            self._response.release()
        else:
            self._response.close()

    def _arm(self, loop: asyncio.AbstractEventLoop, delay: float) -> None:
        self._timer = loop.call_later(delay, self._check_idle, loop)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _check_idle(self, loop: asyncio.AbstractEventLoop) -> None:
        """One timer per body instead of one per chunk: it looks how long the present wait has lasted."""
        waited = loop.time() - self._waiting_since if self._waiting_since is not None else 0.0
        if waited >= self._idle:
            self._timed_out = True
            self._response.close()
        else:
            self._arm(loop, self._idle - waited)


class AiohttpTransport:
    """``policies.egress.HttpTransport``. Make it inside a running loop; ``await close()`` at the end."""

    def __init__(self, guard: EgressGuard) -> None:
        self._guard = guard
        # One pool per degree of trust: a pooled connection or a cached address of the operator's must
        # not serve a URL that somebody else named.
        self._sessions: dict[Trust, aiohttp.ClientSession] = {
            "operator": _session(guard, "operator"),
            "foreign": _session(guard, "foreign"),
        }

    async def open(
        self,
        method: str,
        url: str,
        headers: Sequence[tuple[str, str]],
        body: bytes,
        timeouts: Timeouts,
        trust: Trust = "operator",
    ) -> AiohttpResponse:
        target = self._judge(url, trust)
        try:
            async with asyncio.timeout(timeouts.head):
                response = await self._sessions[trust].request(
                    method,
                    target,
                    headers=CIMultiDict((*headers, ("accept-encoding", "identity"))),
                    data=body or None,
                    allow_redirects=False,
                    timeout=aiohttp.ClientTimeout(total=None, connect=timeouts.connect, sock_connect=timeouts.connect),
                )
        except aiohttp.ConnectionTimeoutError:
            raise TransportFailure(
                "upstream_unreachable", f"No connection to {target.host} within {timeouts.connect:g} s.", sent=False
            ) from None
        except TimeoutError:
            raise TransportFailure(
                "upstream_timeout", f"{target.host} did not answer within {timeouts.head:g} seconds.", sent=True
            ) from None
        except (aiohttp.ClientError, OSError) as error:
            raise _failure(error, sent=not isinstance(error, aiohttp.ClientConnectorError | EgressDenied)) from None
        return AiohttpResponse(response, timeouts.idle)

    async def close(self) -> None:
        for session in self._sessions.values():
            await session.close()

    def _judge(self, url: str, trust: Trust) -> URL:
        reason = self._guard.judge_url(url, trust)
        target = URL(url, encoded=True)
        if reason is None and target.host is not None and _is_address(target.host):
            # aiohttp does not resolve literal addresses, so the resolver never sees them.
            reason = self._guard.judge_address(target.host, trust)
        if reason is not None:
            raise TransportFailure("egress_denied", f"{target.host or url!r} may not be reached: {reason}.", sent=False)
        return target


def _session(guard: EgressGuard, trust: Trust) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, resolver=GuardedResolver(guard, trust), ttl_dns_cache=30),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        timeout=aiohttp.ClientTimeout(total=None),
        skip_auto_headers=("user-agent", "accept", "accept-encoding", "content-type"),
        max_field_size=64 * 1024,
        read_bufsize=256 * 1024,
    )


def _is_address(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdigit()


def _failure(error: Exception, *, sent: bool) -> TransportFailure:
    """An error of aiohttp or the socket as the seam's own, with a stable code."""
    if isinstance(error, EgressDenied) or isinstance(error.__cause__, EgressDenied):
        return TransportFailure("egress_denied", str(error.__cause__ or error), sent=False)
    if isinstance(error, aiohttp.ClientSSLError):
        return TransportFailure("upstream_tls", f"TLS with the upstream failed: {error}", sent=False)
    if isinstance(error, aiohttp.ClientConnectorError):
        return TransportFailure("upstream_unreachable", f"The upstream cannot be reached: {error.os_error}", sent=False)
    if isinstance(error, aiohttp.ClientPayloadError):
        return TransportFailure("upstream_reset", "The upstream broke off its answer.", sent=True)
    if isinstance(error, aiohttp.ClientResponseError):
        return TransportFailure("upstream_invalid_http", f"The upstream's answer is not valid HTTP: {error}", sent=sent)
    return TransportFailure("upstream_reset", "The upstream closed the connection.", sent=sent)
