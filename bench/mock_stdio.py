"""A small MCP server over stdio: ``python -m bench.mock_stdio``. It keeps to the mock's core, and what it uses is not
counted as the gateway's (``bench.gate``)."""

from __future__ import annotations

import os

from bench.mock_mcp import reply

TOOLS = 10
_READ_BYTES = 1 << 16


def main() -> None:
    """Answers lines until standard input ends; the lines of one read leave with one system call."""
    if hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, {0})
    rest = b""
    while data := os.read(0, _READ_BYTES):
        *lines, rest = (rest + data).split(b"\n")
        said = b"".join(answer + b"\n" for line in lines if (answer := reply(line, TOOLS)) is not None)
        while said:
            said = said[os.write(1, said) :]


if __name__ == "__main__":
    main()
