"""Access tokens for Azure's OpenAI service: azure-identity's own client against an authority on loopback, with TLS,
which it insists on."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import json
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from providers.credentials.azure import AzureCredentials, client_secret_credentials, default_credentials
from providers.credentials.base import CredentialsUnavailable
from tests.unit.providers.credentials.loopback import Answer, Endpoint, served

pytestmark = pytest.mark.anyio

TENANT = "11111111-2222-3333-4444-555555555555"
SECRET = "the-client-secret"


def _tls(folder: Path) -> ssl.SSLContext:
    """A certificate for loopback that signs itself; ``folder`` receives it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / "ca.pem", folder / "key.pem"
    public.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    return context


class Authority(Endpoint):
    """Answers the discovery, and requests for tokens with what is next."""

    def __init__(self, *answers: Answer) -> None:
        super().__init__(self._next)
        self.answers = iter(answers)

    def _next(self, path: str, form: dict[str, str]) -> Answer:
        if path.endswith("openid-configuration"):
            found = {
                "token_endpoint": f"{self.url}/{TENANT}/oauth2/v2.0/token",
                "authorization_endpoint": f"{self.url}/{TENANT}/oauth2/v2.0/authorize",
                "issuer": f"{self.url}/{TENANT}/v2.0",
            }
            return 200, "application/json", json.dumps(found).encode()
        return next(self.answers)

    @property
    def forms(self) -> list[dict[str, str]]:
        return [form for path, form in self.asked if path.endswith("/token")]


def token(value: str, seconds: int = 3600) -> Answer:
    body = {"token_type": "Bearer", "access_token": value, "expires_in": seconds, "ext_expires_in": seconds}
    return 200, "application/json", json.dumps(body).encode()


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ssl.SSLContext]:
    context = _tls(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    yield context


def application(authority: Authority) -> AzureCredentials:
    return client_secret_credentials(TENANT, "app-1", SECRET, authority=authority.url)


async def bearer(credentials: AzureCredentials) -> str:
    return dict(await credentials.headers("POST", "https://example.com", b""))["authorization"]


async def test_many_callers_at_once_share_one_token_of_the_application(tls: ssl.SSLContext) -> None:
    with served(Authority(token("one")), tls) as authority:
        authority.gate.clear()
        credentials = application(authority)
        waiting = [asyncio.create_task(bearer(credentials)) for _ in range(50)]
        assert await asyncio.to_thread(authority.arrived.acquire, timeout=30)
        assert not any(task.done() for task in waiting)
        authority.gate.set()
        assert {await task for task in waiting} == {"Bearer one"}
        assert await bearer(credentials) == "Bearer one"
    (form,) = authority.forms
    assert (form["client_id"], form["client_secret"], form["grant_type"]) == ("app-1", SECRET, "client_credentials")
    assert form["scope"].split()[0] == "https://cognitiveservices.azure.com/.default"


async def test_a_token_is_renewed_before_it_ends(tls: ssl.SSLContext) -> None:
    with served(Authority(token("one", 200), token("two")), tls) as authority:
        credentials = application(authority)
        assert [await bearer(credentials), await bearer(credentials)] == ["Bearer one", "Bearer one"]
        while await bearer(credentials) == "Bearer one":
            await asyncio.sleep(0)
        assert await bearer(credentials) == "Bearer two"
    assert len(authority.forms) == 2


async def test_a_refusal_is_told_by_its_code_and_without_any_secret(tls: ssl.SSLContext) -> None:
    body = {"error": "invalid_client", "error_description": f"AADSTS7000215: Invalid client secret {SECRET}"}
    refused = (401, "application/json", json.dumps(body).encode())
    with served(Authority(refused, token("one")), tls) as authority:
        credentials = application(authority)
        with pytest.raises(CredentialsUnavailable, match=r"\(AADSTS7000215\); check entra\.tenant_id") as caught:
            await bearer(credentials)
        assert SECRET not in caught.value.message
        assert caught.value.__suppress_context__
        assert await bearer(credentials) == "Bearer one"


async def test_an_incomplete_identity_is_told_when_it_is_used() -> None:
    with pytest.raises(CredentialsUnavailable, match="ValueError"):
        await bearer(client_secret_credentials("", "app-1", SECRET))


async def test_the_environments_own_identity_is_found(tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(Authority(token("one")), tls) as authority:
        for name, value in {
            "AZURE_TENANT_ID": TENANT,
            "AZURE_CLIENT_ID": "app-2",
            "AZURE_CLIENT_SECRET": SECRET,
        }.items():
            monkeypatch.setenv(name, value)
        assert await bearer(default_credentials(authority=authority.url)) == "Bearer one"
    assert authority.forms[0]["client_id"] == "app-2"


async def test_no_secret_is_shown(tls: ssl.SSLContext) -> None:
    with served(Authority(token("t0ken")), tls) as authority:
        credentials = application(authority)
        await bearer(credentials)
    assert SECRET not in repr(credentials)
    assert "t0ken" not in repr(credentials)
