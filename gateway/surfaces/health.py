"""``/healthz`` and ``/readyz``: open, and asked all the time, so that they do without the admin application."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gateway.surfaces.http import Receive, Scope, Send, send_json


class HealthSurface:
    """``asked`` gives status and answer."""

    def __init__(self, asked: Callable[[], tuple[int, Mapping[str, Any]]]) -> None:
        self._asked = asked

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "GET":
            error = {"code": "method_not_allowed", "message": f"Method Not Allowed: {scope['path']}"}
            await send_json(send, 405, {"error": error}, ((b"allow", b"GET"),))
            return
        status, said = self._asked()
        await send_json(send, status, said)


def alive() -> tuple[int, Mapping[str, Any]]:
    """The process runs its loop."""
    return 200, {"status": "ok"}
