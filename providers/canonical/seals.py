"""Carries one vendor's signature through another dialect's field for signatures, and back unharmed.

A client keeps what stands there without reading it (Anthropic's ``signature``, OpenAI's ``encrypted_content``), and
sends it again with the conversation.
"""

from __future__ import annotations

_MARK = "tk1."


def carry(seal: str, dialect: str, through: str) -> str:
    """``seal`` of ``dialect`` as it is written in ``through``."""
    return seal if dialect == through or not seal else f"{_MARK}{dialect}.{seal}"


def restore(written: str, found_in: str) -> tuple[str, str]:
    """(seal, dialect) of what was found in a field of ``found_in``."""
    if written.startswith(_MARK):
        dialect, dot, seal = written[len(_MARK) :].partition(".")
        if dot:
            return seal, dialect
    return written, found_in
