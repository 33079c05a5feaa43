"""The Gemini endpoints: ``/genai/v1…`` and ``/v1beta…``, as Google's SDKs and the Gemini CLI call them.

The path says what is called; everything else is a model surface like the others.
"""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode

from gateway.surfaces.http import Receive, Scope, Send, send_json
from gateway.surfaces.model_lists import ModelList
from gateway.surfaces.models import Front, ModelSurface
from providers.dialects.gemini import METHODS, PATH, Gemini
from providers.executor import ModelExecutor

PREFIX = "/genai"
_NO_ROUTE = f"There is no such route. A model is called by POST …/models/NAME:METHOD ({', '.join(METHODS)})."


class GeminiSurface:
    """``POST …/models/{model}:{method}``; lists of models go to ``lists``."""

    def __init__(self, executor: ModelExecutor, front: Front, lists: ModelList) -> None:
        self._executor = executor
        self._front = front
        self._lists = lists

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"].removeprefix(PREFIX)
        match = PATH.fullmatch(path)
        if scope["method"] in ("GET", "HEAD") and match is None:
            await self._lists({**scope, "path": path.removeprefix("/v1beta").removeprefix("/v1")}, receive, send)
            return
        if match is None or match[3] not in METHODS or scope["method"] != "POST":
            await send_json(send, 404, {"error": {"code": 404, "message": _NO_ROUTE, "status": "NOT_FOUND"}})
            return
        surface = ModelSurface(Gemini(match[1], match[2], match[3]), self._executor, self._front)
        await surface({**scope, "query_string": _without_key(scope["query_string"])}, receive, send)


def _without_key(query: bytes) -> bytes:
    """Older clients put their key into the address; it is not the upstream's, and addresses end up in logs."""
    if b"key=" not in query:
        return query
    kept = [
        (name, value) for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True) if name != "key"
    ]
    return urlencode(kept).encode("latin-1")
