"""Measured text goes between marks of a document, so that running again replaces it."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

DOCUMENT = Path(__file__).parent.parent / "docs" / "performance.md"
_PACKAGES = ("uvicorn", "uvloop", "httptools", "sqlalchemy")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] + ["--:"] * (len(head) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def replace_section(document: Path, name: str, text: str) -> None:
    """Put ``text`` between ``<!-- name -->`` and ``<!-- /name -->``. Raises ``ValueError`` if they are not there."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, _, rest = document.read_text().partition(begin)
    _, mark, after = rest.partition(end)
    if not mark:
        raise ValueError(f"{document} has no section {name!r}")
    document.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}")


def tell(name: str, text: str, *, write: bool) -> None:
    """Print a section of the performance page, and put it there if that is wanted."""
    print(text)
    if write:
        replace_section(DOCUMENT, name, text)


def note(module: str) -> str:
    """What was run, and on what."""
    return f"`{shlex.join(['python', '-m', module, *sys.argv[1:]])}` on {machine()}"


def machine() -> str:
    """What it was measured on."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    return f"{os.cpu_count()} cores of {models[0] if models else platform.machine()}, {system}, {packages}"
