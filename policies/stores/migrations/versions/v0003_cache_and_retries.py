"""What the cache said of each call; which key of a provider, and why an attempt was made."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("ledger", sa.Column("account", sa.String(100)))
    op.add_column("ledger", sa.Column("reason", sa.String(20)))
    op.add_column("ledger", sa.Column("cache", sa.String(80)))
    op.add_column("ledger", sa.Column("cache_id", sa.String(64)))
