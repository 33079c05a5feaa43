"""The admin API without a running gateway: ``python -m gateway.offline METHOD PATH``, the body on stdin.

The command line turns here when no gateway runs on the state directory, so that keys can be made and the
ledger read all the same. The journal's lock makes sure that none does.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from pathlib import Path

import httpx
from fastapi import FastAPI, Request

from gateway.admin import keys, ledger
from gateway.admin.errors import install
from gateway.config.loader import ConfigError, load
from gateway.config.models import Config
from gateway.keyring import Keyring
from gateway.state import StateDir, StateError
from gateway.stores import open_books
from policies.identity import Directory
from policies.key_hashing import KeyHasher


async def _open(request: Request) -> None:
    """Who may run this may read the state directory: the token would prove nothing more."""


async def answer(method: str, path: str, body: bytes, config: Config, state: StateDir) -> httpx.Response:
    """One request, answered on the books themselves. Raises ``StateError``."""
    opened = open_books(config, state, ())
    books = opened.ledger
    try:
        books.start()
        hasher = KeyHasher(state.pepper())
        keyring = Keyring(opened.keys, hasher, Directory((), time.time_ns), time.time_ns)
        keyring.load(config)
        app = FastAPI()
        app.include_router(keys.router(keyring, _open))
        app.include_router(ledger.router(books, _open))
        install(app)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://offline") as client:
            return await client.request(method, path, content=body, headers={"content-type": "application/json"})
    finally:
        await books.close()


def main() -> int:
    """Exit status 0 with the JSON answer, 1 with one line that says why not."""
    parser = argparse.ArgumentParser()
    parser.add_argument("method")
    parser.add_argument("path")
    parser.add_argument("--config", type=Path)
    parser.add_argument("--state", type=Path, required=True)
    given = parser.parse_args()
    try:
        config = load(given.config, os.environ).config if given.config is not None else Config()
        reply = asyncio.run(
            answer(given.method, given.path, sys.stdin.buffer.read(), config, StateDir.prepare(given.state))
        )
    except (ConfigError, StateError) as error:
        print(error, file=sys.stderr)
        return 1
    if reply.status_code >= 400:
        said = reply.json()["error"]
        print(f"{said['code']}: {said['message']}", file=sys.stderr)
        return 1
    sys.stdout.write(reply.text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
