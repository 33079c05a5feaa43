"""What the tests of Gemini's dialect share: reading a body, and the vendor's own types, which forbid unknown fields."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
from google import genai
from google.genai import types

from policies.strict_json import BodyError, strict_object
from providers.canonical.request import Request
from providers.translation.base import DEFAULT_TRAITS, Written
from providers.translation.gemini import GEMINI_BACK, GEMINI_FACE

PIXEL = "iVBORw0KGgo="


def read(body: dict[str, Any], *, stream: bool = False) -> Request:
    return GEMINI_FACE.read(strict_object(json.dumps(body).encode(), frozenset()), "gemini-2.5-flash", stream=stream)


def refused(body: dict[str, Any]) -> str:
    """The path of the field for which a body is refused."""
    try:
        read(body)
    except BodyError as error:
        assert error.code == "invalid_request"
        return error.field or ""
    raise AssertionError("the body was read")


def said(*parts: dict[str, Any], role: str = "user") -> dict[str, Any]:
    return {"contents": [{"role": role, "parts": list(parts)}]}


def write(request: Request, model: str = "gemini-3.1-pro-preview") -> tuple[dict[str, Any], Written]:
    """The body that a target gets, valid by the vendor's own types."""
    written = GEMINI_BACK.write(request, model, DEFAULT_TRAITS)
    body = json.loads(written.body)
    valid(body)
    return body, written


def valid(body: dict[str, Any]) -> None:
    """Strictly against the vendor's types."""
    known = {"contents", "systemInstruction", "tools", "toolConfig", "generationConfig"}
    assert body.keys() <= known | {"safetySettings", "cachedContent", "labels"}
    for content in body["contents"]:
        types.Content.model_validate_json(json.dumps(content))
    if "systemInstruction" in body:
        types.Content.model_validate_json(json.dumps(body["systemInstruction"]))
    for tool in body.get("tools", ()):
        types.Tool.model_validate_json(json.dumps(tool))
    if "toolConfig" in body:
        types.ToolConfig.model_validate_json(json.dumps(body["toolConfig"]))
    if "generationConfig" in body:
        types.GenerationConfig.model_validate_json(json.dumps(body["generationConfig"]))


def client(answer: Callable[[httpx.Request], httpx.Response]) -> genai.Client:
    """The vendor's own client, answered by ``answer``."""
    transport = httpx.MockTransport(answer)
    options = types.HttpOptions(base_url="http://gate.test", httpx_client=httpx.Client(transport=transport))
    return genai.Client(api_key="key", http_options=options)


def streamed(wire: bytes) -> Iterator[types.GenerateContentResponse]:
    """``wire`` as the vendor's client reads it."""
    answered = client(lambda _: httpx.Response(200, headers={"content-type": "text/event-stream"}, content=wire))
    return answered.models.generate_content_stream(model="gemini-2.5-flash", contents="hi")


def answered(body: bytes) -> types.GenerateContentResponse:
    """``body`` as the vendor's client reads it."""
    reader = client(lambda _: httpx.Response(200, headers={"content-type": "application/json"}, content=body))
    return reader.models.generate_content(model="gemini-2.5-flash", contents="hi")
