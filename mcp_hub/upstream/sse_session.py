"""A session with a member over HTTP+SSE, the transport of 2024-11-05.

A GET opens the event stream; its first event names the address that messages are posted to, and every answer
comes on the stream (https://modelcontextprotocol.io/specification/2024-11-05/basic/transports#http-with-sse).
The address must be of the same origin as the configured one: the gate's credentials go there.
"""

from __future__ import annotations

import asyncio
from urllib.parse import urljoin, urlsplit

from mcp_hub.seams import MemberFault
from mcp_hub.upstream.http_wire import fault_of, status_fault, timeouts_for
from mcp_hub.upstream.session import EVERYBODY, Cannot, OnSessionNotification, Tenancy
from mcp_hub.upstream.specs import HttpSpec
from mcp_hub.upstream.sse import EventReader, EventTooLarge
from mcp_hub.upstream.stream_session import StreamSession, stream_fault
from policies.egress import ByteResponse, HttpTransport, Timeouts, TransportFailure

ENDPOINT_TIMEOUT_S = 30.0
_STREAM = Timeouts(connect=10.0, head=30.0, idle=24 * 3600.0)
ERROR_BYTES = 64 * 1024


class SseSession(StreamSession):
    """``mcp_hub.seams.Session`` over an event stream and posts."""

    def __init__(
        self, spec: HttpSpec, transport: HttpTransport, on_notification: OnSessionNotification, tenancy: Tenancy
    ) -> None:
        super().__init__(spec.name, on_notification, tenancy)
        self._spec = spec
        self._transport = transport
        self._endpoint: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._reader: asyncio.Task[None] | None = None
        self._posts: set[asyncio.Task[None]] = set()

    @classmethod
    async def begin(
        cls,
        spec: HttpSpec,
        transport: HttpTransport,
        on_notification: OnSessionNotification,
        tenancy: Tenancy = EVERYBODY,
    ) -> SseSession:
        """Open the stream, wait for the address, shake hands. Raises ``Cannot``."""
        session = cls(spec, transport, on_notification, tenancy)
        session._reader = asyncio.get_running_loop().create_task(session._read(), name=f"sse:{spec.name}")
        try:
            await session._wait_for_endpoint()
            session.take(await session.initialize())
        except BaseException:
            await session.close()
            raise
        return session

    def write(self, message: bytes) -> None:
        task = asyncio.get_running_loop().create_task(self._post(message))
        self._posts.add(task)
        task.add_done_callback(self._posts.discard)

    async def close(self) -> None:
        for task in (*self._posts, *((self._reader,) if self._reader is not None else ())):
            task.cancel()
        if self._reader is not None:
            await asyncio.wait((self._reader,))

    async def _wait_for_endpoint(self) -> None:
        try:
            async with asyncio.timeout(ENDPOINT_TIMEOUT_S):
                await asyncio.shield(self._endpoint)
        except TimeoutError:
            text = f"{self._name} did not name its address within {ENDPOINT_TIMEOUT_S:g} seconds."
            raise Cannot(stream_fault("member_timeout", text, "handshake")) from None

    async def _read(self) -> None:
        """The stream, to its end: then the session is lost."""
        fault = stream_fault("member_lost", f"{self._name} ended its event stream.", "answer", sent=True)
        try:
            headers = [("accept", "text/event-stream"), *self._spec.headers.items()]
            response = await self._transport.open("GET", self._spec.url, headers, b"", _STREAM)
            try:
                fault = await self._events(response) or fault
            finally:
                response.close()
        except EventTooLarge:
            fault = stream_fault(
                "member_reply_too_large", f"{self._name} sent an event too large.", "answer", sent=True
            )
        except TransportFailure as failure:
            fault = fault_of(self._name, failure)
        self._end(fault)

    async def _events(self, response: ByteResponse) -> MemberFault | None:
        if response.status != 200:
            return status_fault(self._name, response.status, None)
        reader = EventReader()
        async for chunk in response.chunks():
            for data in reader.feed(chunk):
                if self._endpoint.done():
                    self.received(data)
                    continue
                endpoint = urljoin(self._spec.url, data.decode(errors="replace").strip())
                if _origin(endpoint) != _origin(self._spec.url):
                    text = f"{self._name} names an address of another origin; the gate's credentials stay here."
                    return stream_fault("member_handshake_failed", text, "handshake", sent=True)
                self._endpoint.set_result(endpoint)
        return None

    async def _post(self, message: bytes) -> None:
        """One message out; a server that refuses it will not answer it either."""
        headers = [("content-type", "application/json"), *self._spec.headers.items()]
        endpoint = self._endpoint.result()
        try:
            response = await self._transport.open("POST", endpoint, headers, message, timeouts_for(30.0))
            status = response.status
            await response.read(ERROR_BYTES)
            response.close()
        except TransportFailure as failure:
            self._end(fault_of(self._name, failure))
            return
        if status >= 400:
            self._end(status_fault(self._name, status, None))

    def _end(self, fault: MemberFault) -> None:
        """The session is over: every request in flight ends with ``fault``, and so does the beginning."""
        self.end(fault)
        if not self._endpoint.done():
            self._endpoint.set_exception(Cannot(fault))


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port
