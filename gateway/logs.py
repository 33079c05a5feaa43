"""Logs: one JSON object a line on standard error, for events and never per call."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable

import structlog

from gateway.config.problems import Problem

LEVEL = logging.INFO


def begin_logs(notes: Iterable[Problem]) -> None:
    """Set structlog up for the process, and log what is worth knowing about its configuration. Values named like
    secrets never reach it: callers log names."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVEL),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")
    log = structlog.get_logger("tollkeeper.server")
    for note in notes:
        log.info("configuration_note", note=str(note))
