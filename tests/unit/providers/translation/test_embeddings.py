"""Embeddings between OpenAI and Gemini, both ways."""

from __future__ import annotations

import json
import struct
from base64 import b64decode
from typing import Any

import httpx
import pytest
from google.genai import types
from openai.types import CreateEmbeddingResponse

from policies.strict_json import BodyError, StrictObject, strict_object
from policies.types import Usage
from providers.translation.base import BAD_ANSWER
from providers.translation.embeddings import embedded_by_gemini, embedded_by_openai
from tests.unit.providers.translation.gemini_examples import client


def body(**fields: Any) -> StrictObject:
    return strict_object(json.dumps(fields).encode(), frozenset())


def vectors(*values: list[float], **fields: Any) -> bytes:
    return json.dumps({"embeddings": [{"values": each} for each in values], **fields}).encode()


def test_openai_inputs_are_one_batch_for_gemini() -> None:
    exchange = embedded_by_gemini(body(model="m", input=["a", "b"], dimensions=256, user="u"), "gemini-embedding-001")
    model = "models/gemini-embedding-001"
    assert json.loads(exchange.body) == {
        "requests": [
            {"model": model, "outputDimensionality": 256, "content": {"parts": [{"text": "a"}]}},
            {"model": model, "outputDimensionality": 256, "content": {"parts": [{"text": "b"}]}},
        ]
    }
    assert exchange.losses.all() == ["user"]
    for request in json.loads(exchange.body)["requests"]:
        types.Content.model_validate(request["content"])


def test_geminis_vectors_are_told_as_openais_sdk_reads_them() -> None:
    exchange = embedded_by_gemini(body(model="asked", input="a"), "g")
    told = exchange.tell(vectors([0.5, -1], [2, 3], usageMetadata={"promptTokenCount": 7}))
    response = CreateEmbeddingResponse.model_validate_json(told.body, strict=True)
    assert [(entry.index, entry.embedding) for entry in response.data] == [(0, [0.5, -1.0]), (1, [2.0, 3.0])]
    assert (response.model, response.usage.prompt_tokens, response.usage.total_tokens) == ("asked", 7, 7)
    assert told.usage == Usage(input_tokens=7)


def test_base64_is_little_endian_floats() -> None:
    exchange = embedded_by_gemini(body(model="m", input="a", encoding_format="base64"), "g")
    told = json.loads(exchange.tell(vectors([0.5, -1.25])).body)
    assert struct.unpack("<2f", b64decode(told["data"][0]["embedding"])) == (0.5, -1.25)


def test_usage_that_gemini_does_not_report_is_not_invented() -> None:
    assert embedded_by_gemini(body(model="m", input="a"), "g").tell(vectors([1.0])).usage is None


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("input", {}),
        ("input", {"input": []}),
        ("input", {"input": ""}),
        ("input", {"input": [1, 2]}),
        ("input", {"input": [[1, 2]]}),
        ("input[1]", {"input": ["a", ""]}),
        ("dimensions", {"input": "a", "dimensions": 0}),
        ("encoding_format", {"input": "a", "encoding_format": "int8"}),
    ],
)
def test_what_gemini_cannot_embed_is_named(field: str, fields: dict[str, Any]) -> None:
    with pytest.raises(BodyError) as raised:
        embedded_by_gemini(body(model="m", **fields), "g")
    assert raised.value.field == field


def test_a_batch_of_geminis_is_one_request_for_openai() -> None:
    requests: list[dict[str, Any]] = [
        {"model": "models/m", "content": {"parts": [{"text": "a"}], "role": "user"}, "taskType": "RETRIEVAL_QUERY"},
        {"model": "models/m", "content": {"parts": [{"text": "b"}, {"text": "c"}]}, "title": "t", "autoTruncate": True},
    ]
    for request in requests:
        request["output_dimensionality"] = 8
    exchange = embedded_by_openai(body(requests=requests), "text-embedding-3-small")
    assert json.loads(exchange.body) == {
        "model": "text-embedding-3-small",
        "input": ["a", "b\nc"],
        "encoding_format": "float",
        "dimensions": 8,
    }
    assert exchange.losses.hints == ["taskType", "title"]
    assert exchange.losses.demands == ["autoTruncate"]


def test_the_sdk_of_google_reads_openais_vectors_in_their_order() -> None:
    answer = {
        "data": [{"index": 1, "embedding": [2.0]}, {"index": 0, "embedding": [1.0]}],
        "usage": {"prompt_tokens": 4, "total_tokens": 4},
    }

    def answered(request: httpx.Request) -> httpx.Response:
        assert request.url.path.endswith(":batchEmbedContents")
        exchange = embedded_by_openai(strict_object(request.content, frozenset()), "m")
        assert json.loads(exchange.body)["input"] == ["a", "b"]
        told = exchange.tell(json.dumps(answer).encode())
        assert told.usage == Usage(input_tokens=4)
        return httpx.Response(200, headers={"content-type": "application/json"}, content=told.body)

    response = client(answered).models.embed_content(model="gemini-embedding-001", contents=["a", "b"])
    assert [entry.values for entry in response.embeddings or ()] == [[1.0], [2.0]]
    assert response.usage_metadata is not None


def test_one_content_is_answered_with_one_embedding() -> None:
    exchange = embedded_by_openai(body(content={"parts": {"text": "a"}}), "m")
    told = exchange.tell(b'{"data": [{"index": 0, "embedding": [1.5]}]}')
    assert json.loads(told.body) == {"embedding": {"values": [1.5]}}
    assert told.usage is None


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("content", {}),
        ("content.parts", {"content": {}}),
        ("content.parts", {"content": {"parts": []}}),
        ("content.parts[0]", {"content": {"parts": [{"inlineData": {}}]}}),
        ("requests", {"requests": []}),
        ("requests[0].content", {"requests": [{}]}),
        (
            "requests",
            {
                "requests": [
                    {"content": {"parts": [{"text": "a"}]}, "outputDimensionality": 1},
                    {"content": {"parts": [{"text": "a"}]}},
                ]
            },
        ),
    ],
)
def test_what_openai_cannot_embed_is_named(field: str, fields: dict[str, Any]) -> None:
    with pytest.raises(BodyError) as raised:
        embedded_by_openai(body(**fields), "m")
    assert raised.value.field == field


@pytest.mark.parametrize("answer", [b"{}", b"[]", b"oops", b'{"embeddings": [1]}', b'{"data": []}', b'{"data": [{}]}'])
def test_what_is_no_answer_is_told_as_such(answer: bytes) -> None:
    with pytest.raises(BAD_ANSWER):
        embedded_by_openai(body(content={"parts": [{"text": "a"}]}), "m").tell(answer)
    with pytest.raises(BAD_ANSWER):
        embedded_by_gemini(body(model="m", input="a"), "m").tell(answer)
