"""A way through a proxy to a host beyond it: CONNECT (RFC 9110, section 9.3.6).

What the proxy says before the way is open is its own, and is not told as the host's; what comes after belongs to the
host, so that not a byte may come with the proxy's answer: the host speaks only when it has been spoken to.
"""

from __future__ import annotations

import asyncio
import re

from policies.egress import TransportFailure
from policies.proxies import Proxy

MAX_ANSWER_BYTES = 64 * 1024
_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})[ \r]")
_END = b"\r\n\r\n"
PROXY_AUTHENTICATION_REQUIRED = 407
_WHO_ASKS = (401, PROXY_AUTHENTICATION_REQUIRED)
"""tinyproxy says the first of them to a wrong password."""


class Tunnel(asyncio.Protocol):
    """The connection to the proxy until it has answered."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._data = b""
        self._answer: asyncio.Future[bytes] = loop.create_future()

    async def open(self, transport: asyncio.Transport, proxy: Proxy, host: str, port: int) -> None:
        """Ask for the way. Raises ``TransportFailure``, or ``OSError`` if the connection breaks."""
        name = f"[{host}]" if ":" in host else host
        head = f"CONNECT {name}:{port} HTTP/1.1\r\nhost: {name}:{port}\r\n{proxy.field_line}\r\n"
        transport.write(head.encode("latin-1"))
        answer, end, rest = (await self._answer).partition(_END)
        status = _STATUS.match(answer + end)
        if status is not None and end and not status[1].startswith(b"2"):
            raise way_refused(proxy, host, port, int(status[1]))
        if status is None or not end or rest:
            raise _refused(proxy, host, port, "answered with something that is not the answer of an HTTP proxy")

    def data_received(self, data: bytes) -> None:
        self._data += data
        if (_END in self._data or len(self._data) > MAX_ANSWER_BYTES) and not self._answer.done():
            self._answer.set_result(self._data)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._answer.done():
            self._answer.set_exception(ConnectionResetError("the proxy closed the connection"))


def way_refused(proxy: Proxy, host: str, port: int, status: int) -> TransportFailure:
    """The proxy's own answer, in the place of the host's."""
    hint = ""
    if status in _WHO_ASKS:
        hint = (
            ": put the user and password that it wants into HTTPS_PROXY and HTTP_PROXY, http://user:password@host:port"
        )
    return _refused(proxy, host, port, f"refused the way with {status}{hint}")


def _refused(proxy: Proxy, host: str, port: int, what: str) -> TransportFailure:
    return TransportFailure(
        "upstream_unreachable", f"The proxy {proxy} between the gate and {host}:{port} {what}.", sent=False
    )
