"""Where a provider's API is: below its ``base_url``, each cloud in its own manner.

A dialect names its path as its own vendor does (``/v1/messages``, ``/v1beta/models/NAME:METHOD``); clouds that host
other vendors' models have paths of their own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import quote

from policies.strict_json import BodyError, strict_object

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@:-]*(?:/[A-Za-z0-9][A-Za-z0-9._@:-]*)*")


def path_name(model: str) -> str:
    """A model's name that is to stand in an address. Raises ``BodyError`` for one that could lead elsewhere in the
    upstream's paths: callers choose names, and a pattern allows many."""
    if _NAME.fullmatch(model) is None:
        raise BodyError("invalid_request", f"no model has a name like {model[:100]!r}", "model")
    return model


class Address(Protocol):
    """How a cloud is addressed."""

    def url(self, base_url: str, path: str, model: str, query: str) -> str:
        """``path`` is the dialect's, ``model`` the vendor's name of the model, ``query`` without a question mark."""

    def body(self, path: str, body: bytes) -> bytes:
        """The body as the cloud wants it."""


def _joined(url: str, *queries: str) -> str:
    said = "&".join(part for part in queries if part)
    return f"{url}?{said}" if said else url


@dataclass(frozen=True, slots=True)
class OwnAddress:
    """The vendor's own service, and whatever is compatible with it."""

    def url(self, base_url: str, path: str, model: str, query: str) -> str:
        return f"{base_url}{path}?{query}" if query else base_url + path

    def body(self, path: str, body: bytes) -> bytes:
        return body


@dataclass(frozen=True, slots=True)
class AzureAddress:
    """Azure's OpenAI service. Without ``api_version``: its v1 API, whose paths are OpenAI's; with one: the older API,
    whose paths name the deployment
    (https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle, …/openai/reference)."""

    api_version: str | None = None

    def url(self, base_url: str, path: str, model: str, query: str) -> str:
        if self.api_version is None:
            return _joined(f"{base_url}/openai/v1{path}", query)
        place = f"{base_url}/openai/deployments/{quote(model, safe='')}{path}"
        return _joined(place, query, f"api-version={self.api_version}")

    def body(self, path: str, body: bytes) -> bytes:
        return body


@dataclass(frozen=True, slots=True)
class VertexAddress:
    """Google's Vertex AI: Gemini in Google's dialect, Claude in Anthropic's
    (https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference,
    …/docs/partner-models/claude/use-claude, …/claude/count-tokens)."""

    project: str
    region: str

    def url(self, base_url: str, path: str, model: str, query: str) -> str:
        place = f"{base_url}/v1/projects/{quote(self.project)}/locations/{quote(self.region)}/publishers"
        if path.startswith("/v1/messages"):
            if path.endswith("/count_tokens"):
                return f"{place}/anthropic/models/count-tokens:rawPredict"
            return f"{place}/anthropic/models/{quote(model, safe='@')}:rawPredict"
        return _joined(f"{place}/google/models/{quote(model, safe='@')}:{path.rpartition(':')[2]}", query)

    def body(self, path: str, body: bytes) -> bytes:
        """For Claude the model stands in the path, and the version of the API in the body."""
        if not path.startswith("/v1/messages"):
            return body
        if not path.endswith("/count_tokens"):
            body = strict_object(body, _NONE).without("model")
        fields = strict_object(body, _NONE)
        if "anthropic_version" in fields:
            return body
        return fields.insert("anthropic_version", b'"vertex-2023-10-16"')


_NONE: frozenset[str] = frozenset()
