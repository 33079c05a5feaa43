"""Requests for Bedrock are signed as AWS demands, by whoever is configured."""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
import hmac
import logging
from pathlib import Path
from urllib.parse import quote, urlsplit

import botocore.auth
import pytest

from providers.credentials.aws import AwsCredentials, AwsIdentity
from providers.credentials.base import CredentialsUnavailable
from tests.unit.providers.credentials.loopback import Answer, Endpoint, served

pytestmark = pytest.mark.anyio

KEY = "AKIDEXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
URL = "https://bedrock-runtime.eu-west-1.amazonaws.com/model/eu.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse"
BODY = '{"messages":"Zürich"}'.encode()


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def signature_of(headers: dict[str, str], region: str, service: str, *, path: str, host: str, body: bytes) -> str:
    """Computed from AWS's description alone."""
    date = headers["X-Amz-Date"]
    signed = {"host": host, "x-amz-date": date}
    if "X-Amz-Security-Token" in headers:
        signed["x-amz-security-token"] = headers["X-Amz-Security-Token"]
    canonical = "\n".join(
        [
            "POST",
            quote(path, safe="/-_.~"),
            "",
            *(f"{name}:{value}" for name, value in signed.items()),
            "",
            ";".join(signed),
            hashlib.sha256(body).hexdigest(),
        ]
    )
    scope = f"{date[:8]}/{region}/{service}/aws4_request"
    to_sign = "\n".join(["AWS4-HMAC-SHA256", date, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = ("AWS4" + SECRET).encode()
    for part in scope.split("/"):
        key = _hmac(key, part)
    return (
        f"AWS4-HMAC-SHA256 Credential={KEY}/{scope}, SignedHeaders={';'.join(signed)}, "
        f"Signature={_hmac(key, to_sign).hex()}"
    )


async def test_awss_published_example_is_signed_as_published(monkeypatch: pytest.MonkeyPatch) -> None:
    """``get-vanilla`` of the Signature Version 4 test suite."""
    then = dt.datetime(2015, 8, 30, 12, 36, tzinfo=dt.UTC)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: then)
    signer = AwsCredentials(AwsIdentity(access_key=KEY, secret_key=SECRET), "us-east-1", "service")
    headers = dict(await signer.headers("GET", "https://example.amazonaws.com/", b""))
    assert headers == {
        "X-Amz-Date": "20150830T123600Z",
        "Authorization": "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        "SignedHeaders=host;x-amz-date, "
        "Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
    }


@pytest.mark.parametrize("token", [None, "the-session"])
async def test_a_request_for_bedrock_is_signed_over_path_and_body(token: str | None) -> None:
    signer = AwsCredentials(AwsIdentity(access_key=KEY, secret_key=SECRET, session_token=token), "eu-west-1")
    headers = dict(await signer.headers("POST", URL, BODY))
    assert headers.get("X-Amz-Security-Token") == token
    url = urlsplit(URL)
    assert headers["Authorization"] == signature_of(
        headers, "eu-west-1", "bedrock", path=url.path, host=url.netloc, body=BODY
    )


async def test_without_a_key_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    headers = dict(await AwsCredentials(AwsIdentity(), "us-east-1").headers("POST", URL, BODY))
    assert "Credential=AKIDENV/" in headers["Authorization"]


async def test_a_profile_is_found_by_name_and_a_missing_one_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "credentials"
    file.write_text(f"[work]\naws_access_key_id=AKIDWORK\naws_secret_access_key={SECRET}\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    headers = dict(await AwsCredentials(AwsIdentity(profile="work"), "us-east-1").headers("POST", URL, BODY))
    assert "Credential=AKIDWORK/" in headers["Authorization"]
    with pytest.raises(CredentialsUnavailable, match=r"ProfileNotFound.*aws\.profile"):
        await AwsCredentials(AwsIdentity(profile="play"), "us-east-1").headers("POST", URL, BODY)


async def test_where_nobody_is_found_the_message_says_what_to_do() -> None:
    with pytest.raises(CredentialsUnavailable, match=r"set aws\.access_key_id .* or aws\.profile"):
        await AwsCredentials(AwsIdentity(), "us-east-1").headers("POST", URL, BODY)


def role(key: str, minutes: float) -> Answer:
    ends = dt.datetime.now(dt.UTC) + dt.timedelta(minutes=minutes)
    body = (
        '<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>'
        f"<AccessKeyId>{key}</AccessKeyId><SecretAccessKey>{SECRET}</SecretAccessKey>"
        f"<SessionToken>session-of-{key}</SessionToken><Expiration>{ends:%Y-%m-%dT%H:%M:%SZ}</Expiration>"
        "</Credentials><AssumedRoleUser><Arn>arn:aws:sts::1:assumed-role/r/s</Arn><AssumedRoleId>r:s</AssumedRoleId>"
        "</AssumedRoleUser></AssumeRoleResult></AssumeRoleResponse>"
    )
    return 200, "text/xml", body.encode()


ASSUMER = AwsIdentity(
    access_key=KEY, secret_key=SECRET, role_arn="arn:aws:iam::123456789012:role/models", external_id="ext-1"
)


async def test_a_role_is_assumed_once_for_many_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    with served(Endpoint(lambda path, form: role("AKIDROLE", 60))) as sts:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", sts.url)
        sts.gate.clear()
        signer = AwsCredentials(ASSUMER, "us-east-1")
        waiting = [asyncio.create_task(signer.headers("POST", URL, BODY)) for _ in range(50)]
        assert await asyncio.to_thread(sts.arrived.acquire, timeout=30)
        assert not any(task.done() for task in waiting)
        sts.gate.set()
        for task in waiting:
            headers = dict(await task)
            assert "Credential=AKIDROLE/" in headers["Authorization"]
            assert headers["X-Amz-Security-Token"] == "session-of-AKIDROLE"
        await signer.headers("POST", URL, BODY)
    assert len(sts.asked) == 1
    form = sts.asked[0][1]
    assert (form["RoleArn"], form["ExternalId"], form["RoleSessionName"]) == (ASSUMER.role_arn, "ext-1", "tollkeeper")


async def test_an_assumed_role_is_renewed_before_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    given = iter([role("AKIDONE", 4), role("AKIDTWO", 60)])
    with served(Endpoint(lambda path, form: next(given))) as sts:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", sts.url)
        signer = AwsCredentials(ASSUMER, "us-east-1")

        async def key() -> str:
            return dict(await signer.headers("POST", URL, BODY))["Authorization"].split("=")[1].split("/")[0]

        assert [await key(), await key()] == ["AKIDONE", "AKIDONE"]
        while await key() == "AKIDONE":
            await asyncio.sleep(0)
        assert await key() == "AKIDTWO"
    assert len(sts.asked) == 2


async def test_a_role_that_is_denied_is_told_without_any_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    body = (
        '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>'
        f"<Code>AccessDenied</Code><Message>not you: {SECRET}</Message></Error></ErrorResponse>"
    )
    with served(Endpoint(lambda path, form: (403, "text/xml", body.encode()))) as sts:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", sts.url)
        with pytest.raises(CredentialsUnavailable) as caught:
            await AwsCredentials(ASSUMER, "us-east-1").headers("POST", URL, BODY)
    assert "AssumeRole: AccessDenied" in caught.value.message
    assert SECRET not in caught.value.message
    assert caught.value.__suppress_context__


async def test_no_secret_is_shown_or_logged(caplog: pytest.LogCaptureFixture) -> None:
    identity = AwsIdentity(access_key=KEY, secret_key=SECRET, session_token="the-session")
    signer = AwsCredentials(identity, "us-east-1")
    with caplog.at_level(logging.DEBUG):
        await signer.headers("POST", URL, BODY)
    lease = await signer._leases.get()
    for shown in (repr(identity), repr(signer), repr(lease), caplog.text):
        assert SECRET not in shown
        assert "the-session" not in shown
