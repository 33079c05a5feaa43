"""Runs the composed gateway: uvicorn, signals.

SIGHUP re-reads the configuration, all or nothing, without dropping sessions. SIGTERM and SIGINT stop
accepting, let calls under way end within a bound, settle the rest and close the books.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import structlog
import uvicorn
import uvloop

from gateway.composition import Gateway
from gateway.config.loader import ConfigError, load
from gateway.config.models import Config
from gateway.http_protocol import OneWriteProtocol
from gateway.serving import EXIT_START, READY_LINE, ServeOptions, address_of, say
from gateway.state import StateDir, StateError

log = structlog.get_logger("tollkeeper.server")

SWITCH_S = 0.001
"""How long a thread that works (the ledger's writer) keeps the loop waiting at most; Python's own is 5 ms."""


def run(options: ServeOptions, config: Config, state: StateDir, listener: socket.socket) -> int:
    """Serve until a signal; the process's exit status. Prints one line per problem."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(options, config, state, listener))


async def _serve(options: ServeOptions, config: Config, state: StateDir, listener: socket.socket) -> int:
    try:
        gateway = Gateway(config, state, options.host, options.worker, options.workers)
    except StateError as error:
        say(str(error))
        return EXIT_START
    address = address_of(listener)
    announce = partial(_ready, options.worker) if options.socket is not None else partial(_announce, state, address)
    server = _Server(_uvicorn(gateway), announce)
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, _reload, gateway, options.config)
    try:
        await gateway.start()
        _settle_memory()
        sys.setswitchinterval(SWITCH_S)
        await server.serve(sockets=[listener])
    except StateError as error:
        say(str(error))
        return EXIT_START
    finally:
        if options.socket is None:
            state.withdraw_address()
        await gateway.stop()
    return 0


_YOUNG_OBJECTS = 10_000
"""What may have been made, and not gone by itself, before the collector looks."""


def _settle_memory() -> None:
    """What exists now lives as long as the process: the collector need not look at it again. To look for circles
    among 200,000 lasting objects took a fifth of a call's time. Calls under way at once hold more objects than the 700
    after which Python looks; a call leaves no circle (tests count them), so that it may look more rarely."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS)
    gc.enable()


def _uvicorn(gateway: Gateway) -> uvicorn.Config:
    return uvicorn.Config(
        gateway.door,
        http=OneWriteProtocol,
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=5,
        h11_max_incomplete_event_size=None,
    )


class _Server(uvicorn.Server):
    """Says when it accepts connections, and leaves signals to us: uvicorn raises them again when it has
    stopped, which would end the process before the books are closed."""

    def __init__(self, config: uvicorn.Config, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.should_exit:
            self._announce()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


def _announce(state: StateDir, address: str) -> None:
    state.publish_address(address)
    log.info("listening", address=address)


def _ready(worker: int) -> None:
    """The supervisor reads this line and publishes the address when every worker has said it."""
    print(READY_LINE, flush=True)
    log.info("worker_ready", worker=worker)


def _reload(gateway: Gateway, path: Path) -> None:
    """All or nothing: a file with problems changes nothing."""
    try:
        loaded = load(path, os.environ)
    except ConfigError as error:
        for problem in error.problems:
            log.error("configuration_not_reloaded", problem=str(problem))
        return
    gateway.reload(loaded.config)
    log.info("configuration_reloaded", file=str(path))
