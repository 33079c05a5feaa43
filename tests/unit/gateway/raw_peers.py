"""Peers on raw sockets that say exactly what a test wants: the bytes are the test's own."""

from __future__ import annotations

import asyncio
import datetime as dt
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from policies.proxies import is_address

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@dataclass
class Peer:
    """``script`` is run for every connection; ``requests`` holds what came, head and body."""

    script: Callable[[Peer, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
    port: int = 0
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    """A client closed its connection."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/path"

    async def request(self, reader: asyncio.StreamReader) -> bytes | None:
        """The next request, or ``None`` when the client has gone."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                (
                    int(line.split(b":")[1])
                    for line in head.lower().split(b"\r\n")
                    if line.startswith(b"content-length:")
                ),
                0,
            )
            body = await reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.gone.set()
            return None
        self.requests.append(head + body)
        return head + body

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            await self.script(self, reader, writer)
        except ConnectionError:
            self.gone.set()
        finally:
            writer.close()


@asynccontextmanager
async def peer(
    script: Callable[[Peer, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Peer]:
    found = Peer(script)
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0, ssl=tls)
    found.port = server.sockets[0].getsockname()[1]
    try:
        yield found
    finally:
        server.close()


def answering(*answers: bytes) -> Callable[[Peer, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    """Answers the requests of every connection in turn with these bytes, then waits for the client to go."""

    async def script(found: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            if await found.request(reader) is None:
                return
            writer.write(answer)
            await writer.drain()
        await found.request(reader)

    return script


def closing(answer: bytes) -> Callable[[Peer, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    """Answers one request and closes."""

    async def script(found: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await found.request(reader)
        writer.write(answer)

    return script


@dataclass(frozen=True)
class Authority:
    """A certificate authority of the test's own."""

    directory: Path
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def make(cls, directory: Path) -> Authority:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        return cls(directory, key, _signed(name, key, name, key, [], authority=True))

    def trusting(self) -> ssl.SSLContext:
        """A client's context that trusts this authority and nobody else."""
        context = ssl.create_default_context()
        context.load_verify_locations(cadata=self.certificate.public_bytes(serialization.Encoding.PEM).decode())
        return context

    def serving(self, name: str) -> ssl.SSLContext:
        """A server's context with a certificate for ``name``."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = _signed(subject, key, self.certificate.subject, self.key, [name], authority=False)
        file = self.directory / f"{name}.pem"
        file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context


def _signed(
    subject: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Name,
    signer: ec.EllipticCurvePrivateKey,
    names: list[str],
    *,
    authority: bool,
) -> x509.Certificate:
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if names:
        alternatives = [x509.IPAddress(ip_address(n)) if is_address(n) else x509.DNSName(n) for n in names]
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    return builder.sign(signer, hashes.SHA256())
