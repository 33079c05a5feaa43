"""Identifiers of calls: unique without coordination and sortable by time."""

from __future__ import annotations

import os


def new_call_id(now_ns: int) -> str:
    """``tk_`` + 12 hex digits of milliseconds + 16 random ones."""
    return f"tk_{now_ns // 1_000_000:012x}{os.urandom(8).hex()}"
