"""A member's process: started in a process group of its own, read without limits of lines, always reaped.

The child sees an allowlisted environment, never a provider's key. Standard error is drained into a small
ring, so that a flood neither blocks the child nor fills memory. When the child ends, or is ended, its
whole group goes: no orphan stays.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from mcp_hub.upstream.jsonrpc import MAX_MESSAGE_BYTES
from mcp_hub.upstream.specs import StdioSpec

INHERITED = frozenset(
    {"PATH", "HOME", "LANG", "LANGUAGE", "TERM", "TMPDIR", "TZ", "USER", "LOGNAME", "SHELL", "SSL_CERT_FILE"}
)
STDERR_KEPT = 16 * 1024
CLOSE_WAIT_S = 1.0
TERM_WAIT_S = 2.0

_STDIN, _STDOUT = 0, 1


class CannotStart(Exception):
    """The program could not be started; the message names the command and why."""


def child_environment(own: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """What a child may see: the allowlist, the locale, and what its entry declares."""
    inherited = {n: v for n, v in environ.items() if n in INHERITED or n.startswith("LC_")}
    return {**inherited, **own}


def find_command(command: str, path: str) -> str:
    """The program's path; the directory of our own interpreter counts as the end of PATH. Raises
    ``CannotStart``."""
    beside = str(Path(sys.executable).parent)
    found = shutil.which(command, path=f"{path}{os.pathsep}{beside}")
    if found is None:
        raise CannotStart(f"the command {command!r} was not found on PATH")
    return found


class ChildProcess(asyncio.SubprocessProtocol):
    """One running child. ``on_line`` gets each line of its standard output; ``on_exit`` is told once,
    with the reason."""

    def __init__(self, on_line: Callable[[bytes], None], on_exit: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._on_exit = on_exit
        self._lines: list[bytes] = []
        """On their way to the child's standard input."""
        self._parts: list[bytes] = []
        self._size = 0
        self._stderr: deque[bytes] = deque()
        self._stderr_size = 0
        self._transport: asyncio.SubprocessTransport | None = None
        self._stdin: asyncio.WriteTransport | None = None
        self._reason: str | None = None
        self.pid = 0
        self.exited = asyncio.Event()

    @classmethod
    async def start(
        cls, spec: StdioSpec, on_line: Callable[[bytes], None], on_exit: Callable[[str], None]
    ) -> ChildProcess:
        """Start the program. Raises ``CannotStart``."""
        environment = child_environment(spec.env, os.environ)
        program = find_command(spec.command, environment.get("PATH", os.defpath))
        child = cls(on_line, on_exit)
        try:
            transport, _ = await asyncio.get_running_loop().subprocess_exec(
                lambda: child, program, *spec.args, cwd=spec.cwd, env=environment, start_new_session=True
            )
        except OSError as error:
            raise CannotStart(f"{spec.command!r} could not be started: {error.strerror}") from None
        child._attach(transport)
        return child

    @property
    def alive(self) -> bool:
        return not self.exited.is_set()

    def stderr_tail(self) -> str:
        """The last that the child said on standard error."""
        return b"".join(self._stderr)[-STDERR_KEPT:].decode(errors="replace")

    def write(self, line: bytes) -> None:
        """Queue one line; ignored when the child is gone. Lines of one turn of the loop leave with one system call,
        and wake the child once."""
        if not self._lines:
            asyncio.get_running_loop().call_soon(self._flush)
        self._lines.append(line)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == _STDOUT:
            self._take(data)
            return
        self._stderr.append(data[-STDERR_KEPT:])
        self._stderr_size += len(self._stderr[-1])
        while self._stderr_size - len(self._stderr[0]) >= STDERR_KEPT:
            self._stderr_size -= len(self._stderr.popleft())

    def process_exited(self) -> None:
        status = self._transport.get_returncode() if self._transport is not None else None
        self._end(self._reason or f"the process ended with status {status}")

    async def stop(self) -> None:
        """End the child politely, then firmly; returns when it is reaped."""
        self._flush()
        if self._stdin is not None:
            self._stdin.close()
        for wait_s, number in ((CLOSE_WAIT_S, signal.SIGTERM), (TERM_WAIT_S, signal.SIGKILL)):
            with suppress(TimeoutError):
                # Not ``asyncio.timeout``: before Python 3.11.4 it takes its own end for an earlier cancellation, and
                # whoever was cancelled closes here.
                await asyncio.wait_for(self.exited.wait(), wait_s)
                return
            self._signal(number)
        await self.exited.wait()

    def kill(self, reason: str) -> None:
        """End the child at once."""
        self._reason = reason
        self._signal(signal.SIGKILL)

    def _attach(self, transport: asyncio.SubprocessTransport) -> None:
        self._transport = transport
        self.pid = transport.get_pid() or 0
        stdin = transport.get_pipe_transport(_STDIN)
        if isinstance(stdin, asyncio.WriteTransport) or hasattr(stdin, "write"):
            self._stdin = stdin  # type: ignore[assignment]

    def _flush(self) -> None:
        lines, self._lines = self._lines, []
        if lines and self._stdin is not None and not self._stdin.is_closing():
            lines.append(b"")
            self._stdin.write(b"\n".join(lines))

    def _take(self, data: bytes) -> None:
        if data.find(b"\n") < 0:
            self._keep(data)
            return
        *lines, rest = data.split(b"\n")
        if self._parts:
            lines[0] = b"".join((*self._parts, lines[0]))
            self._parts.clear()
            self._size = 0
        for line in lines:
            if line:
                self._on_line(line)
        if rest:
            self._keep(rest)

    def _keep(self, data: bytes) -> None:
        self._parts.append(data)
        self._size += len(data)
        if self._size > MAX_MESSAGE_BYTES:
            self.kill(f"it sent a message of more than {MAX_MESSAGE_BYTES} bytes")

    def _signal(self, number: int) -> None:
        if self.pid:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)

    def _end(self, reason: str) -> None:
        if self.exited.is_set():
            return
        self._signal(signal.SIGKILL)  # what the child left behind in its group
        self.exited.set()
        if self._transport is not None:
            self._transport.close()
        self._on_exit(reason)
