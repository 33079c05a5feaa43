"""Brings a database's schema up to date: ``python -m policies.stores.migrate``, the address on stdin."""

from __future__ import annotations

import sys
from pathlib import Path

from alembic import command
from alembic.config import Config

from policies.stores.engine import connect

MIGRATIONS = Path(__file__).parent / "migrations"


def main() -> None:
    engine = connect(sys.stdin.read().strip())
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


if __name__ == "__main__":
    main()
