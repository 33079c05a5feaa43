"""``python -m gateway.server``: what ``tollkeeper serve`` becomes.

Reads the configuration and opens the socket, and only then loads what runs: the gateway (``gateway.running``) or the
supervisor of several (``gateway.workers``). So problems of a configuration are told at once, a supervisor stays
small, and clients that connect while the rest is read from disk wait instead of being refused.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import os
import socket
import sys
from pathlib import Path
from typing import Any

from gateway.config.loader import ConfigError, load
from gateway.config.models import Config
from gateway.serving import EXIT_CONFIG, EXIT_START, ServeOptions, say
from gateway.state import StateDir, StateError


def run_server(options: ServeOptions) -> int:
    """Serve until a signal; the process's exit status. Prints one line per problem."""
    _start_lightly()
    try:
        loaded = load(options.config, os.environ)
    except ConfigError as error:
        for problem in error.problems:
            say(str(problem))
        return EXIT_CONFIG
    workers: Any = importlib.import_module("gateway.workers") if options.workers > 1 else None
    if workers is not None and (reason := workers.refuse_workers(loaded.config)) is not None:
        say(reason)
        return EXIT_CONFIG
    try:
        state = StateDir.prepare(options.state)
    except StateError as error:
        say(str(error))
        return EXIT_START
    listener = _listener(options, loaded.config)
    if listener is None:
        return EXIT_START
    importlib.import_module("gateway.logs").begin_logs(loaded.notes)
    with listener:
        if workers is not None and options.socket is None:
            gc.enable()
            supervised: int = workers.Supervisor(options, state, listener).run()
            return supervised
        status: int = importlib.import_module("gateway.running").run(options, loaded.config, state, listener)
        return status


def _start_lightly() -> None:
    """Almost everything that a start makes lasts, so that the collector would look in vain, again and again: it rests
    until the gateway serves (``gateway.running``). And structlog loads rich where it is installed, to draw tracebacks
    in a terminal that a server has not got: 0.17 s and 5 MB. For this process rich is not installed."""
    gc.disable()
    sys.modules["rich"] = None  # type: ignore[assignment]


def _listener(options: ServeOptions, config: Config) -> socket.socket | None:
    """The socket that was handed over, or one of our own; ``None``, and the reason is told, if there is none."""
    if options.socket is not None:
        return socket.socket(fileno=options.socket)
    host = options.host or config.server.host
    port = config.server.port if options.port is None else options.port
    try:
        return _bind(host, port)
    except OSError as error:
        say(f"Cannot listen on {host}:{port}: {error.strerror}.")
        return None


def _bind(host: str, port: int) -> socket.socket:
    """A listening socket. Raises ``OSError``."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(2048)
    except OSError:
        listener.close()
        raise
    return listener


def main() -> None:
    parser = argparse.ArgumentParser(prog="tollkeeper serve")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--host")
    parser.add_argument("--port", type=int)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--worker", type=int, default=0)
    parser.add_argument("--socket", type=int)
    sys.exit(run_server(ServeOptions(**vars(parser.parse_args()))))


if __name__ == "__main__":
    main()
