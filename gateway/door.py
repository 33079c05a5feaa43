"""The outer door: which hosts and origins may speak to the gateway, and who answers which path.

Hot surfaces are plain ASGI callables in a table by path; everything else goes to the admin
application. The ``Host`` check keeps a page of a foreign site from reaching a gateway on loopback
through DNS rebinding; the ``Origin`` check keeps it from posting to it at all.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import urlsplit

from gateway.config.models import Config
from gateway.surfaces.http import Receive, Scope, Send, send_json

App = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})


class HostPolicy:
    """Judges ``Host`` and ``Origin``. ``hosts`` are names without port; ``origins`` are full origins."""

    def __init__(self, hosts: frozenset[str], origins: frozenset[str]) -> None:
        self._hosts = hosts
        self._origins = origins
        self._known: set[bytes] = set()

    def refuse(self, scope: Scope) -> str | None:
        """Why this request may not come in, or ``None``."""
        host = b""
        origin = b""
        for name, value in scope["headers"]:
            if name == b"host":
                if host and host != value:
                    return "two Host headers"
                host = value
            elif name == b"origin":
                origin = value
        if host not in self._known:
            name_only = _without_port(host.decode("latin-1")).lower()
            if name_only not in self._hosts:
                return f"the host {name_only!r} is not one of this gateway's; see server.allowed_hosts"
            if len(self._known) < _KNOWN_LIMIT:
                self._known.add(host)
        if origin and not self._origin_allowed(origin.decode("latin-1")):
            return f"the origin {origin.decode('latin-1')!r} is not allowed; see server.allowed_origins"
        return None

    def _origin_allowed(self, origin: str) -> bool:
        if origin in self._origins:
            return True
        parts = urlsplit(origin)
        return parts.scheme in ("http", "https") and _without_port(parts.netloc).lower() in self._hosts


_KNOWN_LIMIT = 256


def _without_port(netloc: str) -> str:
    if netloc.startswith("["):
        return netloc.partition("]")[0] + "]"
    return netloc.partition(":")[0]


class Door:
    """The ASGI application that the server runs."""

    def __init__(
        self,
        policy: HostPolicy,
        exact: Mapping[str, App],
        prefixed: Mapping[str, App],
        rest: App,
    ) -> None:
        self._policy = policy
        self._exact = dict(exact)
        self._prefixed = tuple(sorted(prefixed.items(), key=lambda entry: -len(entry[0])))
        self._rest = rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        reason = self._policy.refuse(scope)
        if reason is not None:
            await send_json(send, 403, {"error": {"code": "forbidden_host", "message": f"Refused: {reason}."}})
            return
        path: str = scope["path"]
        app = self._exact.get(path)
        if app is None:
            app = next((found for prefix, found in self._prefixed if path.startswith(prefix)), self._rest)
        await app(scope, receive, send)


def host_policy(config: Config, host: str | None) -> HostPolicy:
    """Loopback names, the public name, and what the operator allows."""
    server = config.server
    names = {*LOOPBACK_NAMES, *(h.lower() for h in server.allowed_hosts)}
    if server.public_url is not None:
        names.add((urlsplit(server.public_url).hostname or "").lower())
    bound = host or server.host
    if bound not in ("0.0.0.0", "::"):  # compared, not bound
        names.add(f"[{bound}]" if ":" in bound else bound.lower())
    return HostPolicy(frozenset(names), frozenset(server.allowed_origins))
