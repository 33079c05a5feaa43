"""What clients hear without asking again: lists that changed, resources that changed.

A modern client listens (``subscriptions/listen``); one of the initialize era subscribes to resources and reads
its session's GET stream. Either hears only of what its key may read.
"""

from __future__ import annotations

from typing import Any

from gateway.surfaces.credentials import identify
from gateway.surfaces.mcp_answers import Answer, error_status
from gateway.surfaces.mcp_exchange import Exchange
from gateway.surfaces.mcp_requests import Asker, McpRequests
from gateway.surfaces.mcp_streams import Line, listen_stream
from mcp_hub.error_codes import INVALID_REQUEST, RESOURCE_NOT_FOUND
from mcp_hub.hub import Hub
from mcp_hub.resource_watch import Tell, Watch
from mcp_hub.seams import UPDATED, Notification
from mcp_hub.subscriptions import Subscription
from mcp_hub.wire import modern
from mcp_hub.wire.client_sessions import ClientSession
from mcp_hub.wire.messages import Message, WireError, error_bytes, raw_json, required_string, result_bytes
from policies.identity import Directory
from policies.types import Refusal

MAX_STREAMS_PER_KEY = 1_000
MOST_WATCHED = 1_000
"""Resources that one session of the initialize era may subscribe to."""


class McpNotices:
    """Subscriptions of clients."""

    def __init__(self, hub: Hub, requests: McpRequests, directory: Directory) -> None:
        self._directory = directory
        self._hub = hub
        self._requests = requests

    def line(self, exchange: Exchange) -> Line:
        """The stream that answers ``exchange``."""

        def entitled() -> bool:
            key = identify(self._directory, exchange.headers)
            return not isinstance(key, Refusal) and key.grants == exchange.key.grants

        return Line(exchange.client, entitled)

    async def listen(self, exchange: Exchange, asker: Asker, message: Message, request_id: bytes) -> None:
        """The stream of a modern client, until it goes."""
        if self._hub.subscriptions.count(asker.key) >= MAX_STREAMS_PER_KEY:
            data = {"code": "too_many_streams"}
            raise WireError(INVALID_REQUEST, "Too many streams are open", status=429, request_id=request_id, data=data)
        lists, uris = modern.wanted_notices(message)
        await self._hub.ready(asker)
        subscription = self._hub.subscribe(asker)
        watches: list[Watch] = []
        honoured: dict[str, Any] = dict.fromkeys(lists, True)
        heard = []
        for uri in uris:
            watch = self._watch(asker, uri, _telling(subscription, uri))
            if watch is not None:
                watches.append(watch)
                heard.append(uri)
        if heard:
            honoured[modern.RESOURCE_FILTER] = heard
        try:
            await listen_stream(self.line(exchange), message, subscription, honoured)
        finally:
            for watch in watches:
                watch.close()

    def subscribe(self, asker: Asker, session: ClientSession, message: Message, request_id: bytes) -> Answer:
        """``resources/subscribe`` and its opposite. A resource that the key may not read does not exist."""
        uri = required_string(message, "uri")
        if message.method == "resources/unsubscribe":
            watch = session.watches.pop(uri, None)
            if watch is not None:
                watch.close()
            return Answer(200, result_bytes(request_id, b"{}"))
        if uri not in session.watches:
            if len(session.watches) >= MOST_WATCHED:
                text = f"At most {MOST_WATCHED} resources can be subscribed to"
                return Answer(200, error_bytes(request_id, INVALID_REQUEST, text, {"code": "too_many_streams"}))

            def tell() -> None:
                if session.notices is not None:
                    session.notices.tell(_notice(uri))

            watch = self._watch(asker, uri, tell)
            if watch is None:
                status = error_status(asker.era, RESOURCE_NOT_FOUND)
                text = f"Resource not found, or its server does not tell of changes: {uri}"
                return Answer(status, error_bytes(request_id, RESOURCE_NOT_FOUND, text, {"uri": uri}))
            session.watches[uri] = watch
        return Answer(200, result_bytes(request_id, b"{}"))

    def _watch(self, asker: Asker, uri: str, tell: Tell) -> Watch | None:
        origin = self._requests.watchable(asker, uri)
        if origin is None:
            return None
        profile = self._hub.profile(origin.server, asker.profile)
        key = self._hub.session_key(origin.server, asker.key, profile, asker.session)
        return self._hub.watches.watch(key, origin.name, tell)


def _telling(subscription: Subscription, uri: str) -> Tell:
    return lambda: subscription.tell(_notice(uri))


def _notice(uri: str) -> Notification:
    return Notification(UPDATED, {"uri": raw_json(uri)})
