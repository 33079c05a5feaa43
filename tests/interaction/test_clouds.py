"""Clouds that host other vendors' models: addresses, bodies and credentials as each wants them, on loopback."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anthropic
import pytest
from aiohttp import web
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.peers import llm_replies as replies
from tests.support.gateway import RunningGateway

pytestmark = pytest.mark.anyio

KEY = "vk-clouds-0123456789abcdef012345678"
ACCESS, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY"
BEDROCK = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"
CLAUDE = "claude-sonnet-4-5@20250929"


class Cloud:
    """Vertex AI, its token endpoint, and Bedrock, in one server; ``seen``: what arrived."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []
        self.tokens = 0
        self.base = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        if request.path == "/token":
            self.tokens += 1
            return web.json_response({"access_token": f"ya29.token-{self.tokens}", "expires_in": 3600})
        self.seen.append({"path": request.raw_path, "headers": dict(request.headers), "body": body})
        if request.path.endswith("/converse"):
            message = {"role": "assistant", "content": [{"text": "from bedrock"}]}
            usage = {"inputTokens": 10, "outputTokens": 4, "totalTokens": 14}
            return web.json_response({"output": {"message": message}, "stopReason": "end_turn", "usage": usage})
        if "/anthropic/models/count-tokens" in request.path:
            return web.json_response({"input_tokens": 42})
        if "/anthropic/" in request.path:
            done = replies.message(1, CLAUDE, "from claude", None, replies.Tokens())
            if not json.loads(body).get("stream"):
                return web.json_response(done)
            response = web.StreamResponse(headers={"content-type": "text/event-stream"})
            await response.prepare(request)
            for event in replies.message_events(done):
                await response.write(event)
            return response
        if request.path.endswith(":countTokens"):
            return web.json_response({"totalTokens": 7})
        return web.json_response(replies.gemini("gemini-2.5-flash", "from gemini", None, replies.Tokens()))


@pytest.fixture(scope="module")
async def cloud() -> AsyncIterator[Cloud]:
    made = Cloud()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


def account(cloud: Cloud, place: Path) -> Path:
    """A service account's key whose tokens come from ``cloud``."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    file = place / "account.json"
    said = {
        "type": "service_account",
        "project_id": "p1",
        "private_key_id": "k1",
        "private_key": pem,
        "client_email": "gate@p1.iam.gserviceaccount.com",
        "token_uri": f"{cloud.base}/token",
    }
    file.write_text(json.dumps(said))
    return file


@pytest.fixture(scope="module")
async def gate(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningGateway]:
    place = tmp_path_factory.mktemp("clouds")
    yaml = f"""
    providers:
      - {{name: vx, type: vertex, project: p1, region: europe-west1, base_url: "{cloud.base}",
          google: {{credentials_file: "{account(cloud, place)}"}}, allowed_models: ["claude-*", "gemini-*"]}}
      - {{name: aws, type: bedrock, region: eu-central-1, base_url: "{cloud.base}", allowed_models: ["{BEDROCK}"],
          aws: {{access_key_id: {ACCESS}, secret_access_key: {SECRET}}}}}
      - {{name: keyed, type: bedrock, region: eu-central-1, base_url: "{cloud.base}", api_key: bedrock-api-key-0001,
          allowed_models: [nova], aliases: {{nova: "amazon.nova-pro-v1:0"}}}}
    virtual_keys: [{{key_name: k, key: {KEY}, allowed_models: ["*"]}}]
    """
    async with RunningGateway(yaml, place) as running:
        yield running


@pytest.fixture
async def client(gate: RunningGateway, cloud: Cloud) -> AsyncIterator[anthropic.AsyncAnthropic]:
    cloud.seen.clear()
    gate.mark()
    async with anthropic.AsyncAnthropic(base_url=f"{gate.address}/anthropic", auth_token=KEY) as made:
        yield made


SAY: Any = {"max_tokens": 20, "messages": [{"role": "user", "content": "hi"}]}


async def test_claude_on_vertex_is_spoken_to_in_its_own_dialect_with_googles_token(
    client: anthropic.AsyncAnthropic, cloud: Cloud, gate: RunningGateway
) -> None:
    message = await client.messages.create(model=CLAUDE, **SAY)
    assert message.content[0].text == "from claude"  # type: ignore[union-attr]
    (seen,) = cloud.seen
    assert seen["path"] == f"/v1/projects/p1/locations/europe-west1/publishers/anthropic/models/{CLAUDE}:rawPredict"
    assert seen["headers"]["Authorization"].startswith("Bearer ya29.token-")
    assert KEY not in str(seen)
    sent = json.loads(seen["body"])
    assert sent["anthropic_version"] == "vertex-2023-10-16"
    assert "model" not in sent
    (row,) = await gate.rows()
    assert (row["provider"], row["outcome"], row["basis"]) == ("vx", "ok", "measured")
    assert row["cost_nano"] > 0


async def test_claude_on_vertex_streams_counts_and_shares_one_token(
    client: anthropic.AsyncAnthropic, cloud: Cloud
) -> None:
    async with client.messages.stream(model=CLAUDE, **SAY) as stream:
        assert await stream.get_final_text() == "from claude"
    assert (await client.messages.count_tokens(model=CLAUDE, messages=SAY["messages"])).input_tokens == 42
    assert cloud.seen[1]["path"].endswith("/publishers/anthropic/models/count-tokens:rawPredict")
    assert json.loads(cloud.seen[1]["body"])["model"] == CLAUDE
    assert cloud.tokens == 1


async def test_gemini_on_vertex_is_reached_in_its_own_and_in_another_dialect(
    client: anthropic.AsyncAnthropic, cloud: Cloud, gate: RunningGateway
) -> None:
    body = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
    path = "/genai/v1beta/models/gemini-2.5-flash:generateContent"
    own = await gate.http.post(path, json=body, headers={"x-goog-api-key": KEY})
    assert own.json()["candidates"][0]["content"]["parts"][0]["text"] == "from gemini"
    message = await client.messages.create(model="gemini-2.5-flash", **SAY)
    assert message.content[0].text == "from gemini"  # type: ignore[union-attr]
    assert (await client.messages.count_tokens(model="gemini-2.5-flash", messages=SAY["messages"])).input_tokens == 7
    place = "/v1/projects/p1/locations/europe-west1/publishers/google/models/gemini-2.5-flash"
    assert [seen["path"] for seen in cloud.seen] == [
        f"{place}:generateContent",
        f"{place}:generateContent",
        f"{place}:countTokens",
    ]


async def test_bedrock_is_signed_for_exactly_what_is_sent(client: anthropic.AsyncAnthropic, cloud: Cloud) -> None:
    message = await client.messages.create(model=BEDROCK, **SAY)
    assert message.content[0].text == "from bedrock"  # type: ignore[union-attr]
    assert (message.usage.input_tokens, message.usage.output_tokens) == (10, 4)
    (seen,) = cloud.seen
    assert seen["path"] == f"/model/{quote(BEDROCK, safe='')}/converse"
    headers = {name.lower(): value for name, value in seen["headers"].items()}
    assert headers["host"] == cloud.base.removeprefix("http://")
    expected = signature(f"{cloud.base}{seen['path']}", seen["body"], headers["x-amz-date"])
    assert headers["authorization"] == expected
    assert json.loads(seen["body"])["messages"] == [{"role": "user", "content": [{"text": "hi"}]}]


def signature(url: str, body: bytes, date: str) -> str:
    """The header that AWS expects for a request that it received at ``date``."""
    signer = SigV4Auth(Credentials(ACCESS, SECRET), "bedrock", "eu-central-1")
    request = AWSRequest(method="POST", url=url, data=body, headers={"X-Amz-Date": date})
    request.context["timestamp"] = date
    assert hashlib.sha256(body).hexdigest() in signer.canonical_request(request)
    text = signer.string_to_sign(request, signer.canonical_request(request))
    signed = f"SignedHeaders={signer.signed_headers(signer.headers_to_sign(request))}"
    return f"AWS4-HMAC-SHA256 Credential={signer.scope(request)}, {signed}, Signature={signer.signature(text, request)}"


async def test_bedrocks_own_api_keys_are_bearer_tokens(
    client: anthropic.AsyncAnthropic, cloud: Cloud, gate: RunningGateway
) -> None:
    await client.messages.create(model="nova", **SAY)
    (seen,) = cloud.seen
    assert seen["headers"]["Authorization"] == "Bearer bedrock-api-key-0001"
    assert seen["path"] == "/model/amazon.nova-pro-v1%3A0/converse"
    (row,) = await gate.rows()
    assert (row["target"], row["provider"]) == ("nova", "keyed")


async def test_what_nobody_counts_is_refused_by_name(client: anthropic.AsyncAnthropic, cloud: Cloud) -> None:
    with pytest.raises(anthropic.PermissionDeniedError) as refused:
        await client.messages.count_tokens(model="nova", messages=SAY["messages"])
    assert "unsupported_operation" in str(refused.value)
    assert not cloud.seen
