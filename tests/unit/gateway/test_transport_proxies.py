"""The HTTP client behind a proxy: who hears what, what is verified, and what a proxy may not do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from gateway.transport import PooledTransport
from gateway.transport.tunnel import MAX_ANSWER_BYTES
from policies.egress import EgressGuard, Timeouts, TransportFailure, Trust
from policies.proxies import from_environment
from tests.unit.gateway.raw_peers import OK, Authority, Peer, answering, closing, peer

pytestmark = pytest.mark.anyio

LONG = Timeouts(connect=20, head=20, idle=20)
OPEN = b"HTTP/1.1 200 Connection established\r\n\r\n"
HOST = "vendor.test"
"""Resolved by nobody here."""
Script = Callable[[Peer, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(scope="module", params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param}


def behind(proxy: Peer, tls: Authority | None = None, **more: str) -> PooledTransport:
    named = f"http://gate:pass@127.0.0.1:{proxy.port}"
    proxies = from_environment({"HTTPS_PROXY": named, "HTTP_PROXY": named, **more})
    return PooledTransport(EgressGuard(), tls.trusting() if tls is not None else None, proxies=proxies)


async def fetch(transport: PooledTransport, url: str, timeouts: Timeouts = LONG, trust: Trust = "operator") -> bytes:
    response = await transport.open("POST", url, [("x-key", "secret")], b"body", timeouts, trust)
    return await response.read(1024)


async def failure(transport: PooledTransport, url: str, timeouts: Timeouts = LONG) -> TransportFailure:
    with pytest.raises(TransportFailure) as caught:
        await fetch(transport, url, timeouts)
    return caught.value


def leading_to(port: int) -> Script:
    """A proxy that opens the way to this port, whatever host it is asked for."""

    async def copy(source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
        while data := await source.read(65_536):
            to.write(data)
            await to.drain()
        to.close()

    async def script(found: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await found.request(reader)
        there, back = await asyncio.open_connection("127.0.0.1", port)
        writer.write(OPEN)
        await asyncio.gather(copy(reader, back), copy(there, writer))

    return script


async def test_a_host_in_tls_is_spoken_to_through_a_tunnel_that_is_kept(tmp_path: Path) -> None:
    authority = Authority.make(tmp_path)
    async with (
        peer(answering(OK, OK), authority.serving(HOST)) as vendor,
        peer(leading_to(vendor.port)) as proxy,
    ):
        transport = behind(proxy, authority)
        for _ in range(2):
            assert await fetch(transport, f"https://{HOST}/path") == b"ok"
        await transport.close()
        lines = proxy.requests[0].split(b"\r\n")
    assert lines[:3] == [
        b"CONNECT vendor.test:443 HTTP/1.1",
        b"host: vendor.test:443",
        b"proxy-authorization: Basic Z2F0ZTpwYXNz",
    ]
    assert (proxy.connections, vendor.connections, len(vendor.requests)) == (1, 1, 2)
    assert vendor.requests[0].startswith(b"POST /path HTTP/1.1\r\nhost: vendor.test\r\n")
    assert b"proxy-authorization" not in vendor.requests[0]
    assert b"secret" not in b"".join(proxy.requests)


async def test_the_hosts_certificate_is_judged_behind_a_proxy_too(tmp_path: Path) -> None:
    authority = Authority.make(tmp_path)
    async with (
        peer(answering(OK), authority.serving("other.test")) as vendor,
        peer(leading_to(vendor.port)) as proxy,
    ):
        transport = behind(proxy, authority)
        found = await failure(transport, f"https://{HOST}/")
        await transport.close()
    assert (found.code, found.sent, vendor.requests) == ("upstream_tls", False, [])


async def test_a_plain_request_is_given_to_the_proxy_with_its_whole_url() -> None:
    async with peer(answering(OK, OK)) as proxy:
        transport = behind(proxy)
        for _ in range(2):
            assert await fetch(transport, f"http://{HOST}:8000/path?a=b") == b"ok"
        await transport.close()
    assert proxy.requests[0].split(b"\r\n")[:4] == [
        b"POST http://vendor.test:8000/path?a=b HTTP/1.1",
        b"host: vendor.test:8000",
        b"accept-encoding: identity",
        b"proxy-authorization: Basic Z2F0ZTpwYXNz",
    ]
    assert proxy.connections == 1


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n", "refused the way with 403"),
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n<h1>Who are you?</h1>", "HTTPS_PROXY"),
        (b"HTTP/1.1 200 OK\r\n\r\nfirst word of a stranger", "not the answer of an HTTP proxy"),
        (b"SSH-2.0-nothing\r\n\r\n", "not the answer of an HTTP proxy"),
        (b"HTTP/1.1 200 " + b"x" * MAX_ANSWER_BYTES, "not the answer of an HTTP proxy"),
        (b"", "the proxy closed the connection"),
    ],
    ids=["forbidden", "unknown", "speaks first", "no http", "no end", "closes"],
)
async def test_a_proxy_that_opens_no_way_is_told_and_nothing_has_left(answer: bytes, said: str) -> None:
    async with peer(closing(answer)) as proxy:
        transport = behind(proxy)
        found = await failure(transport, f"https://{HOST}/")
        await transport.close()
    assert (found.code, found.sent) == ("upstream_unreachable", False)
    assert said in str(found)
    assert "pass" not in str(found).replace("user:password", "").replace("user and password", "")


async def test_a_proxy_that_wants_to_know_who_asks_is_not_taken_for_the_host() -> None:
    async with peer(answering(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 2\r\n\r\nno")) as proxy:
        transport = behind(proxy)
        found = await failure(transport, f"http://{HOST}/")
        await transport.close()
    assert (found.code, found.sent) == ("upstream_unreachable", False)
    assert "refused the way with 407" in str(found)


async def test_a_proxy_that_says_nothing_is_given_up_when_the_time_for_connecting_is_over() -> None:
    async def silent(found: Peer, reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await found.request(reader)
        await found.request(reader)

    async with peer(silent) as proxy:
        transport = behind(proxy)
        found = await failure(transport, f"https://{HOST}/", Timeouts(connect=0.05))
        assert (found.code, found.sent) == ("upstream_unreachable", False)
        await proxy.gone.wait()  # the connection does not stay behind
        await transport.close()


async def test_what_no_proxy_names_and_what_a_stranger_names_goes_through_no_proxy() -> None:
    async with peer(answering(OK)) as proxy, peer(answering(OK)) as here:
        transport = behind(proxy, NO_PROXY="127.1")
        assert await fetch(transport, f"http://127.1:{here.port}/") == b"ok"
        with pytest.raises(TransportFailure):
            await fetch(transport, f"https://{HOST}/", trust="foreign")
        await transport.close()
    assert (here.connections, proxy.connections) == (1, 0)


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_metadata_service_is_not_reached_through_a_proxy_either(scheme: str) -> None:
    async with peer(answering(OK)) as proxy:
        transport = behind(proxy)
        found = await failure(transport, f"{scheme}://169.254.169.254/latest")
        await transport.close()
    assert (found.code, proxy.connections) == ("egress_denied", 0)
