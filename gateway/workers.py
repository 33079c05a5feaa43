"""``--workers N``: several gateway processes on one listening socket, watched by this one.

A worker that dies is started again, at most ``RESTARTS`` times in ``RESTART_WINDOW_S``; then all end, loudly.
Signals are passed on: SIGHUP reloads every worker, SIGTERM and SIGINT end them.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from typing import IO

import structlog

from gateway.cache_policy import answers_url, cache_wanted
from gateway.config.models import Config
from gateway.serving import EXIT_START, ServeOptions, address_of
from gateway.state import StateDir

log = structlog.get_logger("tollkeeper.workers")

RESTARTS = 5
RESTART_WINDOW_S = 60.0
POLL_S = 0.2


def refuse_workers(config: Config) -> str | None:
    """Why this configuration cannot be served by several processes; ``None`` if it can."""
    if not config.stores.counters.startswith(("redis://", "rediss://")):
        return (
            "--workers: several processes need shared counters, or each would spend every budget once: "
            "set stores.counters to a redis:// address."
        )
    if cache_wanted(config) and not answers_url(config).startswith("redis"):
        return (
            "--workers: several processes need one store of kept answers, or an invalidation would reach one of "
            "them: leave stores.cache out, or set it to a redis:// address."
        )
    semantic = config.semantic_cache
    if semantic.enabled and semantic.embedding and semantic.vector_store == "qdrant" and semantic.qdrant_url is None:
        return "--workers: the embedded vectors have one owner: set semantic_cache.qdrant_url, or another vector_store."
    if any(server.enabled for server in config.mcp_servers.values()):
        return (
            "--workers: MCP servers are served by one process only: a client's session and a parked call live in the "
            "process that began them. Run the mcp_servers in a gateway of their own."
        )
    return None


class Supervisor:
    """Starts, watches and ends the workers."""

    def __init__(self, options: ServeOptions, state: StateDir, listener: socket.socket) -> None:
        self._options = options
        self._state = state
        self._listener = listener
        self._workers: dict[int, subprocess.Popen[bytes]] = {}
        self._unready: set[int] = set()
        self._restarts: deque[float] = deque(maxlen=RESTARTS)
        self._selector = selectors.DefaultSelector()
        self._ending = False

    def run(self) -> int:
        """Until a signal ends it; the exit status."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._end())
        signal.signal(signal.SIGHUP, lambda *_: self._pass_on(signal.SIGHUP))
        # One after the other, so that one of them brings the schema up to date and recovers what was left.
        for worker in range(self._options.workers):
            self._start(worker)
        try:
            while self._workers:
                self._read_lines()
                if not self._reap():
                    return EXIT_START
        finally:
            self._state.withdraw_address()
            self._selector.close()
        return 0

    def _start(self, worker: int) -> None:
        options = self._options
        os.set_inheritable(self._listener.fileno(), True)
        command = [sys.executable, "-m", "gateway.server", "--config", str(options.config)]
        command += ["--state", str(options.state), "--workers", str(options.workers), "--worker", str(worker)]
        command += ["--socket", str(self._listener.fileno())]
        command += ["--host", options.host] if options.host else []
        child = subprocess.Popen(  # noqa: S603
            command, stdout=subprocess.PIPE, pass_fds=(self._listener.fileno(),)
        )
        self._workers[worker] = child
        self._unready.add(worker)
        if child.stdout is not None:
            self._selector.register(child.stdout, selectors.EVENT_READ, worker)

    def _read_lines(self) -> None:
        """A worker says one line, when it accepts connections."""
        for found, _ in self._selector.select(POLL_S):
            stream: IO[bytes] = found.fileobj  # type: ignore[assignment]
            said = os.read(stream.fileno(), 4096)
            if not said:
                self._selector.unregister(stream)
                continue
            self._unready.discard(found.data)
            if not self._unready and not self._ending:
                self._state.publish_address(address_of(self._listener))
                log.info("listening", address=address_of(self._listener), workers=len(self._workers))

    def _reap(self) -> bool:
        """Take note of workers that ended; false when too many did."""
        for worker, child in list(self._workers.items()):
            status = child.poll()
            if status is None:
                continue
            del self._workers[worker]
            if self._ending:
                continue
            log.error("worker_ended", worker=worker, status=status)
            now = time.monotonic()
            if len(self._restarts) == RESTARTS and now - self._restarts[0] < RESTART_WINDOW_S:
                log.error("workers_end_too_often", restarts=RESTARTS, seconds=RESTART_WINDOW_S)
                self._end()
                for other in self._workers.values():
                    other.wait()
                return False
            self._restarts.append(now)
            self._start(worker)
        return True

    def _end(self) -> None:
        self._ending = True
        self._pass_on(signal.SIGTERM)

    def _pass_on(self, number: signal.Signals) -> None:
        for child in self._workers.values():
            if child.poll() is None:
                child.send_signal(number)
