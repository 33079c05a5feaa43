"""Identifiers: unique without coordination. They name things, they grant nothing: no secret is made here."""

from __future__ import annotations

import os
import random

_DICE = random.Random(os.urandom(32))  # noqa: S311 - a name must be unique, not unguessable; a system call costs 3 µs


def new_call_id(now_ns: int) -> str:
    """``tk_`` + 12 hex digits of milliseconds, so that ids sort by time, + 16 random ones."""
    return f"tk_{now_ns // 1_000_000:012x}{_DICE.getrandbits(64):016x}"


def new_id(prefix: str) -> str:
    """``prefix`` + 24 random hex digits."""
    return f"{prefix}{_DICE.getrandbits(96):024x}"
