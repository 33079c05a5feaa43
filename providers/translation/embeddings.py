"""Embeddings between OpenAI (https://platform.openai.com/docs/api-reference/embeddings) and Gemini
(https://ai.google.dev/api/embeddings): only texts, and numbers as the vendor gave them.

Vectors are not scaled: what a vendor shortened to fewer dimensions may have another length than one.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import msgspec

from policies.strict_json import StrictObject
from policies.types import Usage
from providers.canonical.losses import Losses
from providers.translation.base import bad, decoded_fields
from providers.translation.checks import an_object, listed, text, whole
from providers.translation.gemini_wire import camel, several
from providers.translation.plain_exchange import PlainExchange, Told

_OPENAI_FIELDS = frozenset({"model", "input", "dimensions", "encoding_format", "user"})
_GEMINI_FIELDS = frozenset({"model", "content", "outputDimensionality", "taskType", "title"})
_encode = msgspec.json.encode


class _Vector(msgspec.Struct):
    values: list[float]


class _Counted(msgspec.Struct, rename="camel"):
    prompt_token_count: int | None = 0


class _GeminiAnswer(msgspec.Struct, rename="camel"):
    embeddings: list[_Vector]
    usage_metadata: _Counted | None = None


class _Embedding(msgspec.Struct):
    embedding: list[float]
    index: int = 0


class _OpenAIUsage(msgspec.Struct):
    prompt_tokens: int | None = 0


class _OpenAIAnswer(msgspec.Struct):
    data: list[_Embedding]
    usage: _OpenAIUsage | None = None


_gemini_answer = msgspec.json.Decoder(_GeminiAnswer).decode
_openai_answer = msgspec.json.Decoder(_OpenAIAnswer).decode


def embedded_by_gemini(body: StrictObject, model: str) -> PlainExchange:
    """An OpenAI request as ``batchEmbedContents`` of ``model``. Raises ``BodyError``."""
    fields = decoded_fields(body)
    losses = Losses()
    if "user" in fields:
        losses.hint("user")
    for name in fields.keys() - _OPENAI_FIELDS:
        losses.demand(name)
    encoding = fields.get("encoding_format", "float")
    if encoding not in ("float", "base64"):
        raise bad("encoding_format", f"Invalid value: {encoding!r}. Supported values are: 'float' and 'base64'.")
    shared: dict[str, Any] = {"model": f"models/{model}"}
    dimensions = whole(fields.get("dimensions"), "dimensions", least=1)
    if dimensions is not None:
        shared["outputDimensionality"] = dimensions
    requests = [{**shared, "content": {"parts": [{"text": words}]}} for words in _inputs(fields.get("input"))]
    asked = text(fields.get("model", model), "model")
    return PlainExchange(_encode({"requests": requests}), losses, partial(_as_openai, asked, encoding == "base64"))


def _inputs(value: Any) -> Sequence[str]:
    if isinstance(value, str):
        return (text(value, "input"),)
    entries = listed(value, "input")
    if not entries:
        raise bad("input", "must not be empty")
    if any(isinstance(entry, int | list) for entry in entries):
        raise bad("input", "this model cannot read token ids: send text")
    return [text(entry, f"input[{n}]") for n, entry in enumerate(entries)]


def _as_openai(model: str, packed: bool, body: bytes) -> Told:
    answer = _gemini_answer(body)
    counted = answer.usage_metadata
    tokens = (counted.prompt_token_count or 0) if counted else 0
    data = [
        {"object": "embedding", "index": n, "embedding": _packed(vector.values) if packed else vector.values}
        for n, vector in enumerate(answer.embeddings)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    told = _encode({"object": "list", "data": data, "model": model, "usage": usage})
    return Told(told, Usage(input_tokens=tokens) if tokens else None)


def _packed(values: Sequence[float]) -> str:
    """Little-endian 32-bit floats in base64, as OpenAI packs them."""
    return base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode()


def embedded_by_openai(body: StrictObject, model: str) -> PlainExchange:
    """``embedContent`` or ``batchEmbedContents`` (which has ``requests``) as an OpenAI request for ``model``. Raises
    ``BodyError``."""
    fields = camel(decoded_fields(body), "request")
    losses = Losses()
    batch = "requests" in fields
    requests = _requests(fields["requests"]) if batch else [fields]
    inputs: list[str] = []
    sizes: set[int | None] = set()
    for n, request in enumerate(requests):
        at = f"requests[{n}]." if batch else ""
        inputs.append(_words(request.get("content"), f"{at}content"))
        sizes.add(whole(request.get("outputDimensionality"), f"{at}outputDimensionality", least=1))
        for name in request:
            if name in ("taskType", "title"):
                losses.hint(name)
            elif name not in _GEMINI_FIELDS:
                losses.demand(name)
    if len(sizes) > 1:
        raise bad("requests", "outputDimensionality must be the same in all requests for this model")
    wanted: dict[str, Any] = {"model": model, "input": inputs, "encoding_format": "float"}
    if (size := next(iter(sizes))) is not None:
        wanted["dimensions"] = size
    return PlainExchange(_encode(wanted), losses, partial(_as_gemini, batch))


def _requests(value: Any) -> list[Mapping[str, Any]]:
    requests = [
        camel(an_object(raw, f"requests[{n}]"), f"requests[{n}]") for n, raw in enumerate(several(value, "requests"))
    ]
    if not requests:
        raise bad("requests", "must not be empty")
    return requests


def _words(value: Any, at: str) -> str:
    content = camel(an_object(value, at), at)
    words: list[str] = []
    for n, raw in enumerate(several(content.get("parts"), f"{at}.parts")):
        part = camel(an_object(raw, f"{at}.parts[{n}]"), f"{at}.parts[{n}]")
        if part.keys() != {"text"}:
            raise bad(f"{at}.parts[{n}]", "this model can only embed text")
        words.append(text(part["text"], f"{at}.parts[{n}].text"))
    if not words:
        raise bad(f"{at}.parts", "must not be empty")
    return "\n".join(words)


def _as_gemini(batch: bool, body: bytes) -> Told:
    answer = _openai_answer(body)
    vectors = [{"values": entry.embedding} for entry in sorted(answer.data, key=lambda entry: entry.index)]
    told: dict[str, Any] = {"embeddings": vectors} if batch else {"embedding": vectors[0]}
    tokens = (answer.usage.prompt_tokens or 0) if answer.usage else 0
    if tokens:
        told["usageMetadata"] = {"promptTokenCount": tokens, "totalTokenCount": tokens}
    return Told(_encode(told), Usage(input_tokens=tokens) if tokens else None)
