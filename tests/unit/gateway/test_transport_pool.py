"""Which connection carries a call: reuse, what the peer closed, what must not be mixed, names and addresses, TLS."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.transport import PooledTransport
from gateway.transport.dialing import Dialer, _interleaved
from gateway.transport.pool import Pool
from gateway.transport.request import Endpoint
from policies.egress import EgressGuard, Timeouts, TransportFailure, Trust
from tests.unit.gateway.raw_peers import OK, Authority, Peer, answering, closing, peer

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


async def fetch(transport: PooledTransport, url: str, method: str = "POST", trust: Trust = "operator") -> bytes:
    response = await transport.open(method, url, [], b"", LONG, trust)
    return await response.read(MB)


async def test_calls_after_one_another_share_a_connection_and_calls_at_once_do_not(transport: PooledTransport) -> None:
    all_in = asyncio.Barrier(3)

    async def script(found: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (request := await found.request(reader)) is not None:
            if b"/together" in request:
                await all_in.wait()
            writer.write(OK)

    async with peer(script) as upstream:
        for _ in range(5):
            await fetch(transport, upstream.url)
        assert upstream.connections == 1
        together = upstream.url.replace("/path", "/together")
        await asyncio.gather(*(fetch(transport, together) for _ in range(3)))
        assert upstream.connections == 3


async def test_a_connection_of_one_degree_of_trust_serves_no_other() -> None:
    transport = PooledTransport(EgressGuard(allow_private=True))
    async with peer(answering(OK, OK)) as upstream:
        await fetch(transport, upstream.url, trust="operator")
        await fetch(transport, upstream.url, trust="foreign")
        assert upstream.connections == 2
    await transport.close()


async def test_a_connection_that_the_peer_closed_while_idle_is_not_used(transport: PooledTransport) -> None:
    async with peer(closing(OK)) as upstream:
        for _ in range(5):
            assert await fetch(transport, upstream.url) == b"ok"
        assert (upstream.connections, len(upstream.requests)) == (5, 5)


async def test_a_close_that_waits_in_the_socket_unread_is_seen_before_a_request_is_written(
    transport: PooledTransport,
) -> None:
    """The peer's FIN is in the kernel and the loop has not read it yet: a POST must not be risked on it."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    loop = asyncio.get_running_loop()

    async def answer_one() -> socket.socket:
        accepted, _ = await loop.sock_accept(listener)
        await loop.sock_recv(accepted, 65536)
        await loop.sock_sendall(accepted, OK)
        return accepted

    with listener:
        first, body = await asyncio.gather(answer_one(), fetch(transport, url))
        assert body == b"ok"
        first.close()  # and no turn of the loop in between
        second, body = await asyncio.gather(answer_one(), fetch(transport, url))
        assert body == b"ok"
        second.close()


def stale(requests_before: int) -> object:
    """Answers so many requests, then closes on the next one without a byte of an answer."""

    async def script(found: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(requests_before):
            if await found.request(reader) is None:
                return
            writer.write(OK)
        await found.request(reader)

    return script


async def test_a_post_that_was_written_is_not_repeated_when_its_old_connection_breaks(
    transport: PooledTransport,
) -> None:
    async with peer(stale(1)) as upstream:  # type: ignore[arg-type]
        await fetch(transport, upstream.url)
        with pytest.raises(TransportFailure) as caught:
            await fetch(transport, upstream.url)
        assert (caught.value.code, caught.value.sent) == ("upstream_reset", True)
        assert len(upstream.requests) == 2


async def test_an_idempotent_request_is_repeated_once_on_a_new_connection(transport: PooledTransport) -> None:
    async with peer(stale(1)) as upstream:  # type: ignore[arg-type]
        await fetch(transport, upstream.url, "GET")
        assert await fetch(transport, upstream.url, "GET") == b"ok"
        assert (upstream.connections, len(upstream.requests)) == (2, 3)


async def test_nothing_is_repeated_on_a_connection_that_was_new(transport: PooledTransport) -> None:
    async with peer(stale(0)) as upstream:  # type: ignore[arg-type]
        with pytest.raises(TransportFailure):
            await fetch(transport, upstream.url, "GET")
        assert len(upstream.requests) == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
        OK + b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil",
        OK + b"\0",
    ],
    ids=["close", "HTTP/1.0", "an answer to nobody", "rubbish behind"],
)
async def test_a_connection_that_cannot_be_trusted_with_a_second_call_gets_none(
    transport: PooledTransport, answer: bytes
) -> None:
    async with peer(answering(answer, answer)) as upstream:
        assert await fetch(transport, upstream.url) == b"ok"
        assert await fetch(transport, upstream.url) == b"ok"
        assert upstream.connections == 2


async def test_an_answer_that_comes_when_nobody_asked_is_given_to_nobody(transport: PooledTransport) -> None:
    said = asyncio.Event()

    async def script(found: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await found.request(reader)
        writer.write(OK)
        await said.wait()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil")
        await found.request(reader)

    async with peer(script) as upstream:
        assert await fetch(transport, upstream.url) == b"ok"
        said.set()
        await upstream.gone.wait()


async def test_an_early_answer_to_a_large_request_leaves_no_half_request_behind(transport: PooledTransport) -> None:
    async def script(found: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n")
        await asyncio.Event().wait()

    async with peer(script) as upstream:
        for _ in range(2):
            response = await transport.open("POST", upstream.url, [], b"x" * 50 * MB, LONG)
            assert response.status == 413
        assert upstream.connections == 2


async def test_idle_connections_are_closed_after_a_while() -> None:
    transport = PooledTransport(EgressGuard(), idle_s=0.05)
    async with peer(answering(OK, OK)) as upstream:
        await fetch(transport, upstream.url)
        await upstream.gone.wait()
    await transport.close()


async def test_a_peer_that_says_how_long_it_keeps_connections_is_believed(transport: PooledTransport) -> None:
    answer = b"HTTP/1.1 200 OK\r\nkeep-alive: timeout=1\r\ncontent-length: 2\r\n\r\nok"
    async with peer(answering(answer, answer)) as upstream:
        await fetch(transport, upstream.url)
        await fetch(transport, upstream.url)
        assert upstream.connections == 2, "one second less than promised is nothing"


async def test_closing_the_transport_ends_what_is_under_way(transport: PooledTransport) -> None:
    async with peer(answering(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nok")) as upstream:
        await transport.open("POST", upstream.url, [], b"", LONG)
        await transport.close()
        await upstream.gone.wait()


async def test_a_refused_connection_is_a_failure_before_anything_was_sent(transport: PooledTransport) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(TransportFailure) as caught:
        await fetch(transport, f"http://127.0.0.1:{port}/")
    assert (caught.value.code, caught.value.sent) == ("upstream_unreachable", False)


async def test_a_peer_that_does_not_speak_tls_in_time_is_a_failure_before_anything_was_sent() -> None:
    transport = PooledTransport(EgressGuard())

    async def script(found: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        found.gone.set()

    async with peer(script) as upstream:
        with pytest.raises(TransportFailure) as caught:
            url = f"https://127.0.0.1:{upstream.port}/"
            await transport.open("POST", url, [], b"", Timeouts(connect=0.1, head=20, idle=20))
        assert (caught.value.code, caught.value.sent) == ("upstream_unreachable", False)
        await upstream.gone.wait()
    await transport.close()


async def test_every_address_of_a_name_is_judged_and_one_that_is_denied_denies_the_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connected: list[str] = []
    transport = PooledTransport(EgressGuard())
    loop = asyncio.get_running_loop()

    async def resolve(*_: object, **__: object) -> list[tuple[object, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, 443)) for a in ("93.184.215.14", "127.0.0.1")]

    async def connect(_: object, host: str, *__: object, **___: object) -> None:
        connected.append(host)

    monkeypatch.setattr(loop, "getaddrinfo", resolve)
    monkeypatch.setattr(loop, "create_connection", connect)
    with pytest.raises(TransportFailure) as caught:
        await fetch(transport, "https://example.com/", trust="foreign")
    assert (caught.value.code, caught.value.sent, connected) == ("egress_denied", False, [])
    await transport.close()


@pytest.mark.parametrize(
    ("url", "trust"),
    [
        ("https://127.0.0.1/", "foreign"),
        ("https://[::1]/", "foreign"),
        ("https://localhost/", "foreign"),
        ("http://169.254.169.254/latest/meta-data/", "operator"),
        ("http://[fd00:ec2::254]/", "operator"),
        ("http://2852039166/", "operator"),  # 169.254.169.254 as one number
        ("ftp://127.0.0.1/", "operator"),
        ("http://user:secret@127.0.0.1/", "operator"),
    ],
)
async def test_what_the_guard_denies_is_not_connected_to(transport: PooledTransport, url: str, trust: Trust) -> None:
    with pytest.raises(TransportFailure) as caught:
        await fetch(transport, url, trust=trust)
    assert (caught.value.code, caught.value.sent) == ("egress_denied", False)
    assert "secret" not in str(caught.value)


async def test_the_connection_is_made_to_the_judged_address_and_a_dead_one_is_passed_over(
    monkeypatch: pytest.MonkeyPatch, transport: PooledTransport
) -> None:
    loop = asyncio.get_running_loop()
    asked: list[str] = []

    async def resolve(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        asked.append(host)
        addresses = ["127.0.0.2", "127.0.0.1"]  # nobody listens on the first
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    async with peer(answering(OK, OK)) as upstream:
        monkeypatch.setattr(loop, "getaddrinfo", resolve)
        assert await fetch(transport, f"http://lab.example:{upstream.port}/") == b"ok"
        assert b"host: lab.example:" in upstream.requests[0]
        assert asked[0] == "lab.example"


def test_addresses_of_both_families_take_turns() -> None:
    assert _interleaved(["::1", "::2", "10.0.0.1"]) == ["::1", "10.0.0.1", "::2"]
    assert _interleaved(["10.0.0.1", "10.0.0.1", "::1"]) == ["10.0.0.1", "::1"]
    assert _interleaved([]) == []


async def test_tls_is_spoken_with_the_name_and_verified(tmp_path: Path) -> None:
    authority = Authority.make(tmp_path)
    transport = PooledTransport(EgressGuard(), authority.trusting())
    async with peer(answering(OK, OK), authority.serving("localhost")) as upstream:
        url = f"https://localhost:{upstream.port}/"
        assert await fetch(transport, url) == b"ok"
        assert await fetch(transport, url) == b"ok"
        assert upstream.connections == 1
    await transport.close()


async def test_an_address_is_verified_against_the_certificate_too(tmp_path: Path) -> None:
    authority = Authority.make(tmp_path)
    transport = PooledTransport(EgressGuard(), authority.trusting())
    async with peer(answering(OK), authority.serving("127.0.0.1")) as upstream:
        assert await fetch(transport, f"https://127.0.0.1:{upstream.port}/") == b"ok"
    await transport.close()


@pytest.mark.parametrize("wrong", ["name", "authority"])
async def test_a_certificate_of_somebody_else_is_refused_before_anything_is_sent(tmp_path: Path, wrong: str) -> None:
    authority = Authority.make(tmp_path)
    trusted = authority if wrong == "name" else Authority.make(tmp_path)
    transport = PooledTransport(EgressGuard(), trusted.trusting())
    served = "other.example" if wrong == "name" else "localhost"
    async with peer(answering(OK), authority.serving(served)) as upstream:
        with pytest.raises(TransportFailure) as caught:
            await fetch(transport, f"https://localhost:{upstream.port}/")
        assert (caught.value.code, caught.value.sent) == ("upstream_tls", False)
        assert upstream.requests == []
    await transport.close()


async def test_there_is_one_tls_context_and_it_verifies() -> None:
    dialer = Dialer(EgressGuard(), Pool().make)
    context = dialer._context()
    assert context is dialer._context()
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname


def test_an_endpoint_is_its_trust_scheme_host_and_port() -> None:
    assert Endpoint("operator", "https", "a", 1) != Endpoint("foreign", "https", "a", 1)
