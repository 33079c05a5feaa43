"""What clients find that probe for OAuth: that keys are the authentication here, told so that they can act on it.

RFC 9728 metadata names the resource and how a token is sent, and no authorization server, because there is none;
a client registration (RFC 7591) is answered 404 with the reason, not with a page that a client cannot read.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.surfaces.http import Receive, Scope, Send, headers_of, send_json

METADATA_PATH = "/.well-known/oauth-protected-resource"
REGISTER_PATH = "/register"
_NO_REGISTRATION = {
    "error": "registration_not_supported",
    "error_description": "This gate takes virtual keys: send yours as 'Authorization: Bearer ...'. "
    "The operator hands them out; there is nothing to register.",
}

PublicUrl = Callable[[Scope], str]


def public_url_of(configured: str | None) -> PublicUrl:
    """The address under which clients know the gate: the configured one, or the one they asked at."""

    def found(scope: Scope) -> str:
        if configured is not None:
            return configured.rstrip("/")
        # The host was checked at the door.
        return f"{scope.get('scheme', 'http')}://{headers_of(scope).get('host', 'localhost')}"

    return found


def challenge(public_url: str, path: str) -> bytes:
    """The ``WWW-Authenticate`` of a 401 on the MCP endpoint at ``path`` (RFC 6750, RFC 9728 §5.1)."""
    return f'Bearer realm="tollkeeper", resource_metadata="{public_url}{METADATA_PATH}{path}"'.encode("latin-1")


class ResourceMetadata:
    """``/.well-known/oauth-protected-resource`` and the same followed by the path of an endpoint."""

    def __init__(self, public_url: PublicUrl) -> None:
        self._public_url = public_url

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"].removeprefix(METADATA_PATH).rstrip("/") or "/mcp"
        if path != "/mcp" and not path.startswith("/mcp/"):
            await send_json(send, 404, {"error": {"code": "unknown_route", "message": f"Not Found: {scope['path']}"}})
            return
        said = {
            "resource": f"{self._public_url(scope)}{path}",
            "resource_name": "Tollkeeper",
            "bearer_methods_supported": ["header"],
        }
        await send_json(send, 200, said)


async def register(scope: Scope, receive: Receive, send: Send) -> None:
    """No client registers here."""
    await send_json(send, 404, _NO_REGISTRATION)
