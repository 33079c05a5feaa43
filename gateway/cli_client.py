"""How the command line speaks to a running gateway: address and admin token from the state directory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx

from gateway.state import StateDir, StateError


class GatewayUnreachable(Exception):
    """No gateway runs on this state directory, or it does not answer; the message says which."""


class GatewayRefused(Exception):
    """The gateway answered with an error; the message is the gateway's own."""


class AdminClient:
    """The admin API of the gateway that runs on ``state``. Raises the two errors above only."""

    def __init__(self, state: StateDir, timeout_s: float = 30.0) -> None:
        if not state.address_file.exists():
            raise GatewayUnreachable(f"No gateway runs on {state.root}: start one with 'tollkeeper serve'.")
        try:
            token = state.admin_token()
        except StateError as error:
            raise GatewayUnreachable(str(error)) from None
        self._address = state.address_file.read_text(encoding="utf-8").strip()
        self._http = httpx.Client(
            base_url=self._address,
            headers={"authorization": f"Bearer {token}"},
            timeout=timeout_s,
            trust_env=False,
        )

    def get(self, path: str, query: Mapping[str, Any] | None = None) -> Any:
        return self._call("GET", path, query=query)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        return self._call("POST", path, body=body)

    def put(self, path: str, body: Mapping[str, Any]) -> Any:
        return self._call("PUT", path, body=body)

    def delete(self, path: str, query: Mapping[str, Any] | None = None) -> Any:
        return self._call("DELETE", path, query=query)

    def lines(self, path: str, query: Mapping[str, Any]) -> Iterator[str]:
        """The lines of an endless answer (``ledger --follow``)."""
        try:
            with self._http.stream("GET", path, params=_given(query), timeout=None) as answer:
                if answer.status_code >= 400:
                    answer.read()
                    raise GatewayRefused(_message(answer))
                yield from answer.iter_lines()
        except httpx.TransportError as error:
            raise self._unreachable(error) from None

    def _call(
        self, method: str, path: str, *, query: Mapping[str, Any] | None = None, body: Mapping[str, Any] | None = None
    ) -> Any:
        try:
            answer = self._http.request(method, path, params=_given(query or {}), json=body)
        except httpx.TransportError as error:
            raise self._unreachable(error) from None
        if answer.status_code >= 400:
            raise GatewayRefused(_message(answer))
        return answer.json()

    def _unreachable(self, error: httpx.TransportError) -> GatewayUnreachable:
        return GatewayUnreachable(
            f"The gateway at {self._address} does not answer ({error}). If it was killed, start it again; "
            "it takes the address file over."
        )


def open_client(state_dir: Path) -> AdminClient:
    """A client for the gateway on ``state_dir``."""
    return AdminClient(StateDir.prepare(state_dir))


def _given(query: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in query.items() if value is not None}


def _message(answer: httpx.Response) -> str:
    try:
        error = answer.json()["error"]
        return f"{error['code']}: {error['message']}"
    except (ValueError, KeyError, TypeError):
        return f"The gateway answered {answer.status_code}."
