"""``GET /v1/models`` and its siblings: what the asking key may use, in each dialect's shape.

The same admission that judges calls decides what is listed. Also answers Anthropic's ``HEAD
/api/hello``, with which Claude Code looks whether the address is alive.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol
from urllib.parse import unquote

from gateway.surfaces.credentials import identify
from gateway.surfaces.http import Receive, Scope, Send, headers_of, send_bytes, send_json
from policies.identity import Directory, VirtualKey
from policies.refusals import model_not_allowed
from policies.types import Refusal
from providers.dialects.base import Headers
from providers.dialects.gemini import METHODS

Shape = Literal["openai", "anthropic", "gemini"]


class ModelCatalogue(Protocol):
    """What may be listed (``providers.routing.Router``)."""

    def models(self, key: VirtualKey) -> list[str]: ...


class ModelList:
    """Lists models under ``prefix``, and one model under ``prefix/{model}``."""

    def __init__(
        self,
        shape: Shape,
        prefix: str,
        directory: Directory,
        catalogue: Callable[[], ModelCatalogue],
        refusal_body: Callable[[Refusal], tuple[int, Headers, bytes]],
    ) -> None:
        self._shape: Shape = shape
        self._prefix = prefix
        self._directory = directory
        self._catalogue = catalogue
        self._refusal_body = refusal_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            await send_json(send, 405, {"error": {"code": "method_not_allowed", "message": "Use GET."}})
            return
        key = identify(self._directory, headers_of(scope))
        if isinstance(key, Refusal):
            await self._refuse(send, key)
            return
        names = self._catalogue().models(key)
        wanted = unquote(scope["path"].removeprefix(self._prefix).lstrip("/"))
        if not wanted:
            await send_json(send, 200, self._page(names))
        elif wanted in names:
            await send_json(send, 200, self._entry(wanted))
        else:
            await self._refuse(send, model_not_allowed(wanted, names[:100]))

    def _page(self, names: list[str]) -> dict[str, Any]:
        entries = [self._entry(name) for name in names]
        if self._shape == "openai":
            return {"object": "list", "data": entries}
        if self._shape == "gemini":
            return {"models": entries}
        return {
            "data": entries,
            "has_more": False,
            "first_id": names[0] if names else None,
            "last_id": names[-1] if names else None,
        }

    def _entry(self, name: str) -> dict[str, Any]:
        if self._shape == "openai":
            return {"id": name, "object": "model", "created": 0, "owned_by": "tollkeeper"}
        if self._shape == "gemini":
            return {"name": f"models/{name}", "displayName": name, "supportedGenerationMethods": list(METHODS)}
        return {"id": name, "type": "model", "display_name": name, "created_at": "1970-01-01T00:00:00Z"}

    async def _refuse(self, send: Send, refusal: Refusal) -> None:
        status, headers, body = self._refusal_body(refusal)
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        await send_bytes(send, status, raw, body)


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    """``HEAD /anthropic/api/hello``."""
    await send_bytes(send, 200, ((b"content-type", b"application/json"),), b"")
