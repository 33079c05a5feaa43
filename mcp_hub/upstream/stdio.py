"""A session with a member over its standard streams, in either era."""

from __future__ import annotations

import msgspec

from mcp_hub.seams import Era
from mcp_hub.upstream.envelope import Stamp
from mcp_hub.upstream.listening import LISTS, Listening, listen_modern
from mcp_hub.upstream.process import CannotStart, ChildProcess
from mcp_hub.upstream.session import EVERYBODY, Cannot, Handshake, OnSessionNotification, Tenancy, read_discover
from mcp_hub.upstream.specs import StdioSpec
from mcp_hub.upstream.stream_session import StreamSession, stream_fault

DISCOVER_TIMEOUT_S = 5.0
"""A legacy server may ignore the probe in silence; one that starts slowly answers ``initialize`` later."""


class StdioSession(StreamSession):
    """``mcp_hub.seams.Session`` over a child process."""

    def __init__(self, spec: StdioSpec, on_notification: OnSessionNotification, tenancy: Tenancy) -> None:
        super().__init__(spec.name, on_notification, tenancy)
        self._child: ChildProcess | None = None
        self._listening: Listening | None = None

    @classmethod
    async def begin(
        cls, spec: StdioSpec, era: Era | None, on_notification: OnSessionNotification, tenancy: Tenancy = EVERYBODY
    ) -> StdioSession:
        """Start the program and shake hands; ``era`` is what is known of it. Raises ``Cannot``."""
        session = cls(spec, on_notification, tenancy)
        try:
            session._child = await ChildProcess.start(spec, session.received, session._on_exit)
        except CannotStart as error:
            raise Cannot(stream_fault("member_unavailable", f"{spec.name}: {error}.", "start")) from None
        try:
            session.take(await session._shake_hands(era))
            if session.era == "modern" and not tenancy.private:
                session._listening = Listening(spec.name, lambda: listen_modern(session, LISTS), on_notification)
        except BaseException:
            await session.close()
            raise
        return session

    @property
    def pid(self) -> int:
        return self._child.pid if self._child is not None else 0

    def stderr_tail(self) -> str:
        return self._child.stderr_tail() if self._child is not None else ""

    def write(self, message: bytes) -> None:
        if self._child is not None:
            self._child.write(message)

    async def close(self) -> None:
        if self._listening is not None:
            await self._listening.close()
        if self._child is not None:
            await self._child.stop()

    async def _shake_hands(self, era: Era | None) -> Handshake:
        if era != "legacy":
            self._stamp = Stamp("modern")
            reply = await self.request("server/discover", {}, timeout=DISCOVER_TIMEOUT_S)
            found = read_discover(reply) if isinstance(reply, msgspec.Raw) else None
            if found is not None:
                return found
            self.raise_if_lost()
            self._stamp = Stamp("legacy")
        return await self.initialize()

    def _on_exit(self, reason: str) -> None:
        said = self.stderr_tail().strip().splitlines()
        tail = f" Its last words: {said[-1][:300]}" if said else ""
        self.end(stream_fault("member_lost", f"{self._name}: {reason}.{tail}", "answer", sent=True))
