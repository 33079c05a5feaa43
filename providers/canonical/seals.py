"""Carries one vendor's signature through another dialect's field for signatures, and back unharmed.

A client keeps what stands there without reading it (Anthropic's ``signature``, OpenAI's ``encrypted_content``), and
sends it again with the conversation.
"""

from __future__ import annotations

CARRIED = "tk1."
"""Begins a seal that is carried through another dialect."""


def carry(seal: str, dialect: str, through: str) -> str:
    """``seal`` of ``dialect`` as it is written in ``through``."""
    return seal if dialect == through or not seal else f"{CARRIED}{dialect}.{seal}"


def restore(written: str, found_in: str) -> tuple[str, str]:
    """(seal, dialect) of what was found in a field of ``found_in``."""
    if written.startswith(CARRIED):
        dialect, dot, seal = written[len(CARRIED) :].partition(".")
        if dot:
            return seal, dialect
    return written, found_in
