"""Brings a database's schema up to date: ``python -m policies.stores.migrate``, the address on stdin."""

from __future__ import annotations

import sys
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from policies.stores.engine import connect

MIGRATIONS = Path(__file__).parent / "migrations"


def main() -> None:
    engine = connect(sys.stdin.read().strip())
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            # Several replicas may start at once: one migrates, the others wait and find it done.
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(7465697)"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


if __name__ == "__main__":
    main()
