"""What a provider needs to prove who asks, request by request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class CredentialsUnavailable(Exception):
    """There are none, or they could not be renewed. ``message`` says what to do, and holds no secret."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Credentials(Protocol):
    """Signs or authenticates one request of a provider."""

    async def headers(self, method: str, url: str, body: bytes) -> Sequence[tuple[str, str]]:
        """What to add to the request, which must go out with exactly this method, URL and body.
        Raises ``CredentialsUnavailable``."""
