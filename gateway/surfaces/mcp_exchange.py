"""One HTTP request on the MCP endpoint, and the era that it speaks."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from gateway.surfaces.http import Client, Field, answer
from gateway.surfaces.mcp_answers import Answer
from mcp_hub.seams import LEGACY_VERSIONS
from mcp_hub.wire import modern
from mcp_hub.wire.messages import Message
from policies.identity import VirtualKey


class Exchange(msgspec.Struct, frozen=True, eq=False):
    """One HTTP request on the endpoint, identified."""

    client: Client
    headers: Mapping[str, str]
    key: VirtualKey
    server: str | None
    started_ns: int
    batched: bool = False
    """Part of a batch: there is no stream to put a question on."""

    def is_legacy(self, message: Message) -> bool:
        header = self.headers.get("mcp-protocol-version")
        if header is not None:
            return header in LEGACY_VERSIONS and modern.META_VERSION not in message.meta
        return modern.META_VERSION not in message.meta

    def repeated_headers(self) -> list[str]:
        """The routing headers that came more than once."""
        sent = self.client.scope["headers"]
        if len(self.headers) == len(sent):
            return []  # of a repeated header only the first is in ``headers``
        names = [name.decode("latin-1") for name, _ in sent]
        return [name for name in modern.ROUTING_HEADERS if names.count(name) > 1]


_JSON: Field = ("content-type", "application/json")


async def give(exchange: Exchange, told: Answer, *fields: Field) -> None:
    """A complete answer."""
    await answer(exchange.client, told.status, (_JSON, *fields), told.body)


def server_of(path: str) -> str | None:
    """``/mcp`` names no server, ``/mcp/{server}`` one."""
    return None if path == "/mcp" else path.removeprefix("/mcp").strip("/") or None
