"""Access tokens for Vertex AI: fetched with a real key from an endpoint on loopback."""

from __future__ import annotations

import asyncio
import base64
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from providers.credentials.base import CredentialsUnavailable
from providers.credentials.google import GoogleCredentials
from tests.unit.providers.credentials.loopback import Answer, Endpoint, served

pytestmark = pytest.mark.anyio


@lru_cache(maxsize=1)
def private_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def account(endpoint: Endpoint) -> dict[str, Any]:
    pem = private_key().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return {
        "type": "service_account",
        "project_id": "lab",
        "private_key_id": "k1",
        "private_key": pem.decode(),
        "client_email": "models@lab.iam.gserviceaccount.com",
        "token_uri": f"{endpoint.url}/token",
    }


def token(value: str, seconds: int = 3600) -> Answer:
    return 200, "application/json", json.dumps({"access_token": value, "expires_in": seconds}).encode()


async def bearer(credentials: GoogleCredentials) -> str:
    return dict(await credentials.headers("POST", "https://example.com", b""))["authorization"]


def _unpacked(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


async def test_many_callers_at_once_share_one_token_that_the_key_was_shown_for() -> None:
    with served(Endpoint(lambda path, form: token("ya29.one"))) as endpoint:
        endpoint.gate.clear()
        credentials = GoogleCredentials(info=account(endpoint))
        waiting = [asyncio.create_task(bearer(credentials)) for _ in range(50)]
        assert await asyncio.to_thread(endpoint.arrived.acquire, timeout=30)
        assert not any(task.done() for task in waiting)
        endpoint.gate.set()
        assert {await task for task in waiting} == {"Bearer ya29.one"}
        assert await bearer(credentials) == "Bearer ya29.one"
    assert len(endpoint.asked) == 1
    header, claims, signature = endpoint.asked[0][1]["assertion"].split(".")
    public = private_key().public_key()
    public.verify(_unpacked(signature), f"{header}.{claims}".encode(), padding.PKCS1v15(), hashes.SHA256())
    said = json.loads(_unpacked(claims))
    assert said["iss"] == "models@lab.iam.gserviceaccount.com"
    assert said["scope"] == "https://www.googleapis.com/auth/cloud-platform"


async def test_a_token_is_renewed_before_it_ends() -> None:
    given = iter([token("one", 200), token("two")])
    with served(Endpoint(lambda path, form: next(given))) as endpoint:
        credentials = GoogleCredentials(info=account(endpoint))
        assert [await bearer(credentials), await bearer(credentials)] == ["Bearer one", "Bearer one"]
        while await bearer(credentials) == "Bearer one":
            await asyncio.sleep(0)
        assert await bearer(credentials) == "Bearer two"
    assert len(endpoint.asked) == 2


async def test_a_key_file_is_read_and_so_is_the_applications_default(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with served(Endpoint(lambda path, form: token("one"))) as endpoint:
        file = tmp_path / "key.json"
        file.write_text(json.dumps(account(endpoint)))
        assert await bearer(GoogleCredentials(file=file)) == "Bearer one"
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
        monkeypatch.setenv("GOOGLE_CLOUD_QUOTA_PROJECT", "payer")
        headers = dict(await GoogleCredentials().headers("POST", "https://example.com", b""))
    assert headers == {"authorization": "Bearer one", "x-goog-user-project": "payer"}


async def test_an_endpoint_that_refuses_is_told_by_its_own_word_and_asked_again_later() -> None:
    refused = json.dumps({"error": "invalid_grant", "error_description": "s3cret"}).encode()
    given = iter([(400, "application/json", refused), token("one")])
    with served(Endpoint(lambda path, form: next(given))) as endpoint:
        credentials = GoogleCredentials(info=account(endpoint))
        with pytest.raises(CredentialsUnavailable, match=r"\(invalid_grant\); check the key") as caught:
            await bearer(credentials)
        assert "s3cret" not in caught.value.message
        assert caught.value.__suppress_context__
        assert await bearer(credentials) == "Bearer one"


async def test_an_endpoint_that_is_not_there_is_told() -> None:
    with served(Endpoint(lambda path, form: token("one"))) as endpoint:
        info = account(endpoint)
    with pytest.raises(CredentialsUnavailable, match="TransportError"):
        await bearer(GoogleCredentials(info=info))


@pytest.mark.parametrize(
    "content", [None, "", "not json", "{}", '{"type": "service_account", "private_key": "s3cret"}']
)
async def test_a_file_that_is_no_key_is_told_without_its_content(content: str | None, tmp_path: Path) -> None:
    file = tmp_path / "key.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(CredentialsUnavailable, match=r"set google\.credentials_file") as caught:
        await bearer(GoogleCredentials(file=file))
    assert "s3cret" not in caught.value.message


async def test_where_nobody_is_found_the_message_says_what_to_do() -> None:
    with pytest.raises(CredentialsUnavailable, match="gcloud auth application-default login"):
        await bearer(GoogleCredentials())


async def test_no_secret_is_shown() -> None:
    with served(Endpoint(lambda path, form: token("ya29.one"))) as endpoint:
        credentials = GoogleCredentials(info=account(endpoint))
        await bearer(credentials)
    assert "ya29" not in repr(credentials)
    assert "PRIVATE KEY" not in repr(credentials)
