"""One connection to one peer: an ``asyncio.Protocol`` around httptools' parser (llhttp, in its strict mode).

Exchanges follow one another and are never pipelined. A connection goes back to the pool only if the answer was
complete, the peer wants to keep it, nothing came behind the answer and nothing of the request is still unsent.

Bounds on what a peer may send apart from the body: ``MAX_FIELD_BYTES`` a field, ``MAX_HEAD_BYTES`` of heads, of
interim answers, of chunk extensions or of trailers without a byte of body in between.
"""

from __future__ import annotations

import asyncio
import re
import select
from typing import Protocol

import httptools

from gateway.transport.deadline import Deadline
from gateway.transport.request import Endpoint
from gateway.transport.response import PooledResponse
from policies.egress import Timeouts

MAX_FIELD_BYTES = 64 * 1024
MAX_HEAD_BYTES = 256 * 1024
_JOINED_BYTES = 32 * 1024
"""Up to here copying a body behind its head is cheaper than two buffers for one system call."""
_PROMISED = re.compile(rb"timeout=(\d+)")


class _Invalid(Exception):
    """The peer broke a bound; raised inside the parser's callbacks."""


class Keeper(Protocol):
    """Who owns connections: the pool."""

    def made(self, connection: Connection) -> None:
        """It is open."""

    def released(self, connection: Connection) -> None:
        """It can carry another exchange."""

    def lost(self, connection: Connection) -> None:
        """It is gone."""


class Connection(asyncio.Protocol):
    """Open from ``connection_made`` on; busy from ``send`` until its keeper is told that it is released."""

    __slots__ = (
        "_bare",
        "_beyond",
        "_closed",
        "_deadline",
        "_done",
        "_head_bytes",
        "_idle_s",
        "_interim",
        "_keep",
        "_keeper",
        "_loop",
        "_made",
        "_parser",
        "_pieces",
        "_poll",
        "_progress",
        "_response",
        "_to_end",
        "_transport",
        "_whole",
        "endpoint",
        "idle_since",
        "on_body",
        "promised_s",
    )

    def __init__(self, endpoint: Endpoint, loop: asyncio.AbstractEventLoop, keeper: Keeper) -> None:
        self.endpoint = endpoint
        self.idle_since = 0.0
        self.promised_s: float | None = None
        """How long the peer said that it keeps an idle connection (``Keep-Alive: timeout=``)."""
        self._loop = loop
        self._keeper = keeper
        # Made with the connection: an attempt that is refused would leave their circles with this object behind.
        self._deadline: Deadline
        self._parser: httptools.HttpResponseParser
        self._transport: asyncio.Transport
        self._poll = select.poll()
        self._pieces: list[bytes] = []
        self.on_body = self._pieces.append  # what the parser calls for every chunk of a chunked body
        self._response: PooledResponse | None = None
        self._made = self._closed = False
        self._idle_s = 0.0
        self._bare = self._interim = self._done = self._beyond = self._keep = self._to_end = self._progress = False
        self._head_bytes = self._whole = 0

    # What the pool and the response ask of it.

    def usable(self) -> bool:
        """Nothing has come since the last answer, not even the end: a look at the socket itself, because what
        arrived in this turn of the loop has not been read yet."""
        return not self._closed and not self._transport.is_closing() and not self._poll.poll(0)

    def send(self, method: str, head: bytes, body: bytes, timeouts: Timeouts) -> PooledResponse:
        """Write a request; what is returned is fed as the answer comes."""
        response = self._response = PooledResponse(self, self._loop)
        self._bare = method == "HEAD"
        self._done = self._beyond = self._interim = self._to_end = False
        self._head_bytes = 0
        self._idle_s = timeouts.idle
        self._deadline.set(timeouts.head)
        if len(body) <= _JOINED_BYTES:
            self._transport.write(head + body)
        else:
            self._transport.writelines((head, body))
        return response

    def pause(self) -> None:
        self._deadline.clear()  # the reader is slow, not the peer
        self._transport.pause_reading()

    def resume(self) -> None:
        self._deadline.set(self._idle_s)
        self._transport.resume_reading()

    def abort(self) -> None:
        """Drop it now, and whatever is on its way."""
        self._response = None
        self._deadline.cancel()
        self._transport.abort()

    # What the loop tells it.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._made = True
        self._transport = transport  # type: ignore[assignment]
        self._deadline = Deadline(self._loop, self._late)
        self._parser = httptools.HttpResponseParser(self)
        self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
        self._keeper.made(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed = True
        if not self._made:
            return  # the handshake in a tunnel failed, which who began it is told
        self._deadline.cancel()
        del self._parser  # it holds this object: a circle
        response, self._response = self._response, None
        if response is not None:
            if self._to_end and response.begun and exc is None:
                response.finish()
            else:
                proxy = self.endpoint.proxy
                who = "The upstream" if proxy is None else f"The upstream, or the proxy {proxy} before it,"
                what = "broke off its answer." if response.begun else "closed the connection."
                response.fail("upstream_reset", f"{who} {what}")
        self._keeper.lost(self)

    def eof_received(self) -> None:
        """The peer has said all it will: the transport closes itself."""

    def data_received(self, data: bytes) -> None:
        response = self._response
        if response is None:  # nobody asked
            self._transport.abort()
            return
        self._progress = False
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self._done:
                self._fail(str(error.__context__ or error))
                return
            self._beyond = True
        if self._pieces:
            self._hand_on(response)
        if self._done:
            self._finish(response)
        elif not self._progress:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._fail(f"more than {MAX_HEAD_BYTES} bytes without a byte of the body")
            elif response.begun:
                self._deadline.set(self._idle_s)
        elif not response.paused:
            self._deadline.set(self._idle_s)

    # What the parser tells it.

    def on_message_begin(self) -> None:
        self._beyond = self._done

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._done:
            return
        size = len(name) + len(value)
        self._head_bytes += size
        if size > MAX_FIELD_BYTES or self._head_bytes > MAX_HEAD_BYTES:
            raise _Invalid("its header fields are too large")
        response = self._response
        if response is not None and not response.begun:
            response.headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        response = self._response
        if response is None or self._done:
            return
        status = self._parser.get_status_code()
        if status < 200:
            if status == 101:
                raise _Invalid("it changes the protocol, which nobody asked for")
            self._interim = True
            response.headers.clear()
            return
        self._keep = self._parser.should_keep_alive() and not self._bare
        self._read_framing(response)
        self._deadline.set(self._idle_s)
        self._progress = True
        response.begin(status)
        if self._bare:
            self._done = True
            self._whole = 0

    def on_message_complete(self) -> None:
        if self._interim:
            self._interim = False
        elif not self._done:
            self._done = True
            self._whole = len(self._pieces)

    def _hand_on(self, response: PooledResponse) -> None:
        """All of the body that came with one reading of the socket, as one piece."""
        pieces = self._pieces
        if self._done:
            del pieces[self._whole :]  # the body of an answer that nobody asked for
        if pieces:
            response.feed(pieces[0] if len(pieces) == 1 else b"".join(pieces))
            pieces.clear()
            self._progress = True
            self._head_bytes = 0

    def _read_framing(self, response: PooledResponse) -> None:
        """Whether the end of the connection is the end of the body (RFC 9112, section 6.3)."""
        self._to_end = True
        for name, value in response.headers:
            if name == "content-length" or (name == "transfer-encoding" and value.lower().endswith("chunked")):
                self._to_end = False
            elif name == "keep-alive" and (promised := _PROMISED.search(value.encode("latin-1"))) is not None:
                self.promised_s = float(promised[1])

    def _finish(self, response: PooledResponse) -> None:
        self._response = None
        self._deadline.clear()
        if not self._keep or self._beyond or self._transport.get_write_buffer_size():
            self._transport.abort()
        else:
            if response.paused:
                self._transport.resume_reading()
            self._keeper.released(self)
        response.finish()

    def _fail(self, reason: str) -> None:
        response = self._response
        self.abort()
        if response is not None:
            response.fail("upstream_invalid_http", f"The upstream's answer is not valid HTTP: {reason}")

    def _late(self) -> None:
        response = self._response
        self.abort()
        if response is not None:
            what = f"sent nothing for {self._idle_s:g} seconds" if response.begun else "did not answer in time"
            response.fail("upstream_timeout", f"{self.endpoint.host} {what}.")
