"""What was held for each attempt; prices set at run time; an index for runs of one key."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("ledger", sa.Column("held_nano", _BIG, nullable=False, server_default="0"))
    op.create_table(
        "prices",
        sa.Column("provider", sa.String(100), primary_key=True),
        sa.Column("model", sa.String(200), primary_key=True),
        sa.Column("rates", sa.Text, nullable=False),
        sa.Column("changed_ns", _BIG, nullable=False),
    )
