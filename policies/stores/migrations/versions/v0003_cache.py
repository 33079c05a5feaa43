"""What the cache said of each call."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("ledger", sa.Column("cache", sa.String(80)))
    op.add_column("ledger", sa.Column("cache_id", sa.String(64)))
