"""Real Redis and PostgreSQL for the tests, and programs that listen: started on free ports, ended with the test. A machine without
them is a failure, not a skip: ``scripts/install_services`` puts them there."""

from __future__ import annotations

import asyncio
import os
import pwd
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis.asyncio

from tests.support.gateway import ROOT

READY_S = 30.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def wait_for_port(port: int) -> None:
    """Until something listens."""
    for _ in range(600):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return
    raise AssertionError(f"nothing listens on {port}")


def _wait(port: int, child: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        if child.poll() is not None:
            raise RuntimeError(f"the service ended with {child.returncode}")
        with socket.socket() as probe:
            probe.settimeout(0.2)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError("the service did not listen")


@dataclass
class RedisServer:
    """One server whose data lives as long as its directory: it can be stopped and started again."""

    directory: Path
    port: int
    durable: bool
    """Every write is on the disk before its answer: what a test kills, it finds again."""
    process: subprocess.Popen[bytes] | None = None
    program: str = "redis-server"

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        command = [self.program, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.directory)]
        command += ["--appendonly", "yes", "--appendfsync", "always"] if self.durable else []
        command += ["--save", "", "--daemonize", "no"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _wait(self.port, self.process)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    async def flush(self) -> None:
        """Forget everything."""
        async with redis.asyncio.Redis.from_url(self.url) as client:
            await client.flushall()


REDIS8 = str(ROOT / ".cache" / "redis8" / "redis-server")
"""One with vector sets, where ``make test`` puts it."""


@contextmanager
def redis_server(directory: Path, *, durable: bool = True, program: str = "redis-server") -> Iterator[RedisServer]:
    directory.mkdir(parents=True, exist_ok=True)
    server = RedisServer(directory, free_port(), durable, program=program)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@dataclass
class ForwardingProxy:
    """A tinyproxy that forwards for one user only."""

    port: int
    log: Path

    def url(self, password: str) -> str:
        return f"http://gate:{password}@127.0.0.1:{self.port}"

    @property
    def asked(self) -> list[str]:
        """The request lines that it has followed or refused."""
        return re.findall(r"Request \(file descriptor \d+\): (.*) HTTP", self.log.read_text())


@contextmanager
def forwarding_proxy(directory: Path, password: str) -> Iterator[ForwardingProxy]:
    proxy = ForwardingProxy(free_port(), directory / "tinyproxy.log")
    settings = directory / "tinyproxy.conf"
    settings.write_text(
        f'Port {proxy.port}\nListen 127.0.0.1\nBasicAuth gate {password}\nLogFile "{proxy.log}"\nLogLevel Connect\n'
    )
    child = subprocess.Popen(["tinyproxy", "-d", "-c", str(settings)], stdout=subprocess.DEVNULL)
    try:
        _wait(proxy.port, child)
        yield proxy
    finally:
        child.terminate()
        child.wait()


def _postgres_programs() -> Path:
    """Debian keeps them out of the path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    program = str(found[-1]) if found else shutil.which("postgres")
    if program is None:
        raise FileNotFoundError("PostgreSQL is not installed: run scripts/install_services")
    return Path(program).parent


@dataclass
class PostgresServer:
    """A cluster of its own, with trust on loopback; never as root, which PostgreSQL refuses."""

    directory: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"postgresql://tollkeeper@127.0.0.1:{self.port}/postgres"

    def initialise(self) -> None:
        self._run(
            str(_postgres_programs() / "initdb"), "-D", str(self.directory / "data"), "-U", "tollkeeper",
            "-A", "trust", "-E", "UTF8", "--no-sync",
        )  # fmt: skip

    def start(self) -> None:
        command = [str(_postgres_programs() / "postgres"), "-D", str(self.directory / "data")]
        command += ["-p", str(self.port), "-h", "127.0.0.1", "-k", str(self.directory), "-F"]
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **self._as_somebody()
        )
        _wait(self.port, self.process)

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(3)  # SIGQUIT: at once, as if the machine had lost power
            self.process.wait()
            self.process = None

    def _run(self, *command: str) -> None:
        done = subprocess.run(command, capture_output=True, check=False, **self._as_somebody())
        if done.returncode != 0:
            raise RuntimeError(done.stderr.decode())

    def _as_somebody(self) -> dict[str, object]:
        if os.getuid() != 0:
            return {}
        user = pwd.getpwnam("postgres")
        os.chown(self.directory, user.pw_uid, user.pw_gid)
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """In a directory that the server's own user can reach."""
    directory = Path(subprocess.check_output(["mktemp", "-d", "/tmp/tk-postgres.XXXXXX"], text=True).strip())
    server = PostgresServer(directory, free_port())
    try:
        server.initialise()
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)


@asynccontextmanager
async def python_server(*arguments: str, after: tuple[str, ...] = ()) -> AsyncIterator[int]:
    """A Python program that listens on the port that follows its ``arguments``; killed at the end."""
    port = free_port()
    server = await asyncio.create_subprocess_exec(sys.executable, *arguments, str(port), *after, cwd=ROOT)
    try:
        await wait_for_port(port)
        yield port
    finally:
        server.kill()
        await server.wait()
