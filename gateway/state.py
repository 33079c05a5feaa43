"""The state directory (``.tollkeeper/``): secrets made at first start, and where the gateway listens.

Directory mode 0700, secret files 0600, created atomically; an existing secret that others may read is
refused, because it must be taken as known.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


class StateError(Exception):
    """The state directory cannot be used; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class StateDir:
    """Paths and secrets of one installation."""

    root: Path

    @classmethod
    def prepare(cls, root: Path) -> StateDir:
        """Create the directory if need be. Raises ``StateError``."""
        try:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            if stat.S_IMODE(root.stat().st_mode) & 0o077:
                root.chmod(0o700)
        except OSError as error:
            raise StateError(f"The state directory {root} cannot be used: {error.strerror}.") from None
        return cls(root)

    @property
    def journal(self) -> Path:
        return self.root / "journal"

    @property
    def ledger(self) -> Path:
        return self.root / "ledger.db"

    @property
    def address_file(self) -> Path:
        """Holds ``http://host:port`` while a gateway runs on this state."""
        return self.root / "address"

    def secret(self, name: str, make: Callable[[], str]) -> str:
        """The secret kept in ``name``, made at the first call. Raises ``StateError``."""
        path = self.root / name
        try:
            if not path.exists():
                _create(path, make())
            if stat.S_IMODE(path.stat().st_mode) & 0o077:
                raise StateError(f"{path} may be read by others: chmod 600 it, or delete it to have a new one made.")
            return path.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise StateError(f"The secret file {path} cannot be used: {error.strerror}.") from None

    def admin_token(self) -> str:
        """The token that opens ``/api``."""
        return self.secret("admin.token", lambda: "tka-" + secrets.token_urlsafe(32))

    def pepper(self) -> bytes:
        """What stored keys are hashed with."""
        return bytes.fromhex(self.secret("pepper", lambda: secrets.token_hex(32)))

    def publish_address(self, address: str) -> None:
        """Tell the command line where this gateway listens."""
        scratch = self.root / f".address.{os.getpid()}"
        scratch.write_text(address + "\n", encoding="utf-8")
        scratch.replace(self.address_file)

    def withdraw_address(self) -> None:
        self.address_file.unlink(missing_ok=True)


def _create(path: Path, value: str) -> None:
    """Write ``value`` into a new 0600 file; if another process was faster, its value stays."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, value.encode() + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    try:
        os.link(scratch, path)
    except FileExistsError:
        pass
    finally:
        scratch.unlink()
