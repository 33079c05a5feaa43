"""The HTTP client: what it sends, what it takes for an answer, and when it gives up. Peers are raw sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.transport import PooledTransport
from gateway.transport.connection import MAX_FIELD_BYTES, MAX_HEAD_BYTES
from gateway.transport.response import HIGH_BYTES
from policies.egress import EgressGuard, Timeouts, TransportFailure
from tests.unit.gateway.raw_peers import OK, Peer, answering, closing, peer

pytestmark = pytest.mark.anyio

LONG = Timeouts(connect=20, head=20, idle=20)
MB = 1024 * 1024


@pytest.fixture(scope="module", params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param}


@pytest.fixture
async def transport() -> AsyncIterator[PooledTransport]:
    made = PooledTransport(EgressGuard())
    yield made
    await made.close()


async def fetch(transport: PooledTransport, url: str, method: str = "POST", body: bytes = b"body") -> bytes:
    response = await transport.open(method, url, [("x-one", "1")], body, LONG)
    return await response.read(MB)


async def failure(transport: PooledTransport, url: str, timeouts: Timeouts = LONG) -> TransportFailure:
    with pytest.raises(TransportFailure) as caught:
        response = await transport.open("POST", url, [], b"", timeouts)
        await response.read(MB)
    return caught.value


async def test_a_request_is_written_as_it_was_asked_for(transport: PooledTransport) -> None:
    async with peer(answering(OK)) as upstream:
        assert await fetch(transport, f"{upstream.url}?a=b%20c#fragment") == b"ok"
        head, _, body = upstream.requests[0].partition(b"\r\n\r\n")
        assert head.split(b"\r\n") == [
            b"POST /path?a=b%20c HTTP/1.1",
            f"host: 127.0.0.1:{upstream.port}".encode(),
            b"accept-encoding: identity",
            b"content-length: 4",
            b"x-one: 1",
        ]
        assert body == b"body"


async def test_a_post_without_a_body_says_so_and_a_get_says_nothing(transport: PooledTransport) -> None:
    async with peer(answering(OK, OK)) as upstream:
        await fetch(transport, upstream.url, "POST", b"")
        await fetch(transport, upstream.url, "GET", b"")
        assert b"content-length: 0" in upstream.requests[0]
        assert b"content-length" not in upstream.requests[1]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x", "a\r\nx-evil: 1"),
        ("x", "a\nx-evil: 1"),
        ("x", "a\rb"),
        ("x", "a\0b"),
        ("x: y\r\nz", "1"),
        ("x y", "1"),
        ("", "1"),
        ("Content-Length", "0"),
        ("Transfer-Encoding", "chunked"),
        ("connection", "close"),
    ],
)
async def test_a_field_that_would_change_the_message_is_not_sent(
    transport: PooledTransport, name: str, value: str
) -> None:
    async with peer(answering(OK)) as upstream:
        with pytest.raises(TransportFailure) as caught:
            await transport.open("POST", upstream.url, [("a", "1"), (name, value)], b"", LONG)
        assert (caught.value.code, caught.value.sent) == ("egress_denied", False)
        assert upstream.connections == 0


async def test_a_value_beyond_ascii_arrives_byte_for_byte(transport: PooledTransport) -> None:
    async with peer(answering(OK)) as upstream:
        value = b"caf\xc3\xa9".decode("latin-1")  # as a server hands on what a client sent
        await transport.open("GET", upstream.url, [("x", value)], b"", LONG)
        assert b"x: caf\xc3\xa9\r\n" in upstream.requests[0]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (OK, b"ok"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;x=y\r\nok\r\n3\r\nay!\r\n0\r\nx: y\r\n\r\n",
            b"okay!",
        ),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + OK, b"ok"),
    ],
    ids=["length", "no body", "chunked with extension and trailer", "interim answers"],
)
async def test_every_framing_is_read_to_its_end_and_the_connection_kept(
    transport: PooledTransport, answer: bytes, expected: bytes
) -> None:
    async with peer(answering(answer, answer)) as upstream:
        for _ in range(2):
            response = await transport.open("POST", upstream.url, [], b"", LONG)
            assert await response.read(MB) == expected
            assert not any(name in ("link", "x") for name, _ in response.headers)
        assert upstream.connections == 1


async def test_an_answer_in_single_bytes_is_the_same_answer(transport: PooledTransport) -> None:
    async def script(found: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await found.request(reader)
        for byte in b"HTTP/1.1 200 OK\r\nX-Name: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n":
            writer.write(bytes((byte,)))
            await writer.drain()
            await asyncio.sleep(0)

    async with peer(script) as upstream:
        response = await transport.open("POST", upstream.url, [], b"", LONG)
        assert ("x-name", "a") in response.headers
        assert await response.read(MB) == b"ok"


async def test_without_a_length_the_end_of_the_connection_ends_the_body(transport: PooledTransport) -> None:
    async with peer(closing(b"HTTP/1.1 200 OK\r\n\r\nall of it")) as upstream:
        assert await fetch(transport, upstream.url) == b"all of it"
        assert await fetch(transport, upstream.url) == b"all of it"
        assert upstream.connections == 2


async def test_the_answer_to_head_has_no_body_whatever_it_says(transport: PooledTransport) -> None:
    async with peer(answering(b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n")) as upstream:
        response = await transport.open("HEAD", upstream.url, [], b"", LONG)
        assert (response.status, await response.read(MB)) == (200, b"")


async def test_a_redirect_is_an_answer(transport: PooledTransport) -> None:
    moved = b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n"
    async with peer(answering(moved)) as upstream:
        response = await transport.open("GET", upstream.url, [], b"", LONG)
        assert response.status == 302


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nok",
        b"HTTP/1.1 200 OK\r\nconte",
        b"",
    ],
    ids=["short", "no last chunk", "short chunk", "half a head", "nothing"],
)
async def test_an_answer_that_is_cut_is_a_failure_and_not_a_short_answer(
    transport: PooledTransport, answer: bytes
) -> None:
    async with peer(closing(answer)) as upstream:
        broken = await failure(transport, upstream.url)
        assert (broken.code, broken.sent) == ("upstream_reset", True)


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nnonsense\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"a" * (MAX_FIELD_BYTES + 1) + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x: aaaaaaaaaaaaaaaa\r\n" * (MAX_HEAD_BYTES // 16) + b"\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * (MAX_HEAD_BYTES // 24),
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;" + b"x" * (3 * MAX_HEAD_BYTES),
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n"
        + b"x: aaaaaaaaaaaaaaaa\r\n" * (MAX_HEAD_BYTES // 16),
    ],
    ids=[
        "not HTTP",
        "two lengths",
        "length and chunks",
        "bad chunk",
        "upgrade",
        "large field",
        "many fields",
        "many interim answers",
        "endless chunk extension",
        "endless trailers",
    ],
)
async def test_what_is_not_valid_http_or_has_no_bound_is_refused(transport: PooledTransport, answer: bytes) -> None:
    async with peer(answering(answer)) as upstream:
        broken = await failure(transport, upstream.url)
        assert (broken.code, broken.sent) == ("upstream_invalid_http", True)
        await upstream.gone.wait()


async def test_an_answer_beyond_the_limit_is_dropped_with_its_connection(transport: PooledTransport) -> None:
    async with peer(answering(b"HTTP/1.1 200 OK\r\ncontent-length: 2000000\r\n\r\n" + b"x" * 2_000_000)) as upstream:
        assert (await failure(transport, upstream.url)).code == "upstream_too_large"
        await upstream.gone.wait()


async def test_a_head_that_does_not_come_in_time_is_a_timeout_and_interim_answers_do_not_help(
    transport: PooledTransport,
) -> None:
    async with peer(answering(b"HTTP/1.1 102 Processing\r\n\r\n")) as upstream:
        late = await failure(transport, upstream.url, Timeouts(connect=20, head=0.05, idle=20))
        assert (late.code, late.sent) == ("upstream_timeout", True)
        await upstream.gone.wait()


async def test_silence_in_a_body_is_a_timeout(transport: PooledTransport) -> None:
    async with peer(answering(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nok")) as upstream:
        response = await transport.open("POST", upstream.url, [], b"", Timeouts(connect=20, head=20, idle=0.05))
        chunks = response.chunks()
        assert await anext(chunks) == b"ok"
        with pytest.raises(TransportFailure) as caught:
            await anext(chunks)
        assert caught.value.code == "upstream_timeout"
        await upstream.gone.wait()


async def test_a_slow_reader_is_not_a_silent_peer_and_holds_the_peer_up(transport: PooledTransport) -> None:
    sent = 0
    blocked = asyncio.Event()

    async def script(found: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await found.request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 104857600\r\n\r\n")
        piece = b"x" * 65536
        for _ in range(1600):
            writer.write(piece)
            try:
                await asyncio.wait_for(writer.drain(), 0.3)
            except TimeoutError:
                blocked.set()
                await writer.drain()
            sent += len(piece)

    async with peer(script) as upstream:
        response = await transport.open("POST", upstream.url, [], b"", Timeouts(connect=20, head=20, idle=0.1))
        await blocked.wait()
        assert sent < 50 * MB, "what nobody reads is left with the peer"
        size = 0
        async for chunk in response.chunks():
            assert len(chunk) < HIGH_BYTES + 512 * 1024
            size += len(chunk)
        assert size == 104857600


async def test_chunks_are_handed_on_as_they_come(transport: PooledTransport) -> None:
    go = asyncio.Event()

    async def script(found: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await found.request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n")
        await go.wait()
        writer.write(b"3\r\ntwo\r\n0\r\n\r\n")

    async with peer(script) as upstream:
        response = await transport.open("POST", upstream.url, [], b"", LONG)
        chunks = response.chunks()
        assert await anext(chunks) == b"one"
        go.set()
        assert [chunk async for chunk in chunks] == [b"two"]


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nok"], ids=["head", "body"])
async def test_a_caller_who_is_cancelled_closes_the_connection(transport: PooledTransport, answer: bytes) -> None:
    reached = asyncio.Event()

    async def script(found: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await found.request(reader)
        writer.write(answer)
        reached.set()
        await found.request(reader)

    async def call(url: str) -> None:
        response = await transport.open("POST", url, [], b"", LONG)
        try:
            await response.read(MB)
        finally:
            response.close()

    async with peer(script) as upstream:
        calling = asyncio.create_task(call(upstream.url))
        await reached.wait()
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        await upstream.gone.wait()


async def test_closing_an_answer_that_was_read_keeps_the_connection_and_one_that_was_not_drops_it(
    transport: PooledTransport,
) -> None:
    async with peer(answering(OK, b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nok")) as upstream:
        response = await transport.open("POST", upstream.url, [], b"", LONG)
        await response.read(MB)
        response.close()
        response = await transport.open("POST", upstream.url, [], b"", LONG)
        assert upstream.connections == 1
        response.close()
        await upstream.gone.wait()
