"""An application that is loaded when the first request for it comes: what is not asked for costs no start and no
memory."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from typing import TypeVar

from gateway.door import App
from gateway.surfaces.http import Receive, Scope, Send
from policies.c_library import glibc

T = TypeVar("T")


class LoadedLater:
    """``load`` imports and builds it, in a thread: calls that are under way go on. Requests that come meanwhile wait.
    If it fails, the request fails, and the next one tries again."""

    def __init__(self, load: Callable[[], App]) -> None:
        self._load = load
        self._loading = asyncio.Lock()
        self._app: App | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._app
        if app is None:
            app = await self._loaded()
        await app(scope, receive, send)

    async def _loaded(self) -> App:
        async with self._loading:
            if self._app is None:
                self._app = await asyncio.to_thread(lasting, self._load)
            return self._app


def lasting(load: Callable[[], T]) -> T:
    """What ``load`` makes lasts: the collector looks at it neither meanwhile nor afterwards."""
    gc.disable()
    try:
        return load()
    finally:
        gc.freeze()
        gc.enable()
        _give_back()


def _give_back() -> None:
    """What loading took and nobody needs any more goes back to the system: glibc would keep up to 17 MB."""
    library = glibc(locked=False)
    if library is not None:
        library.malloc_trim(0)
