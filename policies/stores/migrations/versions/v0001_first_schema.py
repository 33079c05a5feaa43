"""The first schema: ledger, daily usage, virtual keys."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "ledger",
        sa.Column("call_id", sa.String(64), primary_key=True),
        sa.Column("attempt", sa.Integer, primary_key=True),
        sa.Column("started_ns", _BIG, nullable=False),
        sa.Column("duration_us", _BIG, nullable=False),
        sa.Column("overhead_us", _BIG, nullable=False),
        sa.Column("first_byte_us", _BIG),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("surface", sa.String(40), nullable=False),
        sa.Column("operation", sa.String(40), nullable=False),
        sa.Column("origin", sa.String(20), nullable=False),
        sa.Column("parent", sa.String(64)),
        sa.Column("key", sa.String(200)),
        sa.Column("team", sa.String(200)),
        sa.Column("customer", sa.String(200)),
        sa.Column("run", sa.String(200)),
        sa.Column("trace_id", sa.String(64)),
        sa.Column("agent_id", sa.String(200)),
        sa.Column("tool_use_id", sa.String(200)),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("provider", sa.String(200)),
        sa.Column("upstream", sa.Text),
        sa.Column("outcome", sa.String(20), nullable=False),
        sa.Column("code", sa.String(80)),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("stop_reason", sa.String(80)),
        sa.Column("stream", sa.Boolean, nullable=False),
        sa.Column("input_tokens", _BIG, nullable=False),
        sa.Column("cache_read_tokens", _BIG, nullable=False),
        sa.Column("cache_write_tokens", _BIG, nullable=False),
        sa.Column("cache_write_1h_tokens", _BIG, nullable=False),
        sa.Column("output_tokens", _BIG, nullable=False),
        sa.Column("reasoning_tokens", _BIG, nullable=False),
        sa.Column("cost_nano", _BIG, nullable=False),
        sa.Column("saved_nano", _BIG, nullable=False),
        sa.Column("basis", sa.String(20), nullable=False),
        sa.Column("price_source", sa.Text),
        sa.Column("warning", sa.Text),
        sa.Column("upstream_request_id", sa.String(200)),
        sa.Column("tiers", sa.Text, nullable=False),
    )
    op.create_index("ledger_started", "ledger", ["started_ns"])
    op.create_index("ledger_key_started", "ledger", ["key", "started_ns"])
    op.create_index("ledger_team_started", "ledger", ["team", "started_ns"])
    op.create_index("ledger_run", "ledger", ["run"])
    op.create_index("ledger_parent", "ledger", ["parent"])
    op.create_table(
        "usage_daily",
        sa.Column("tier", sa.String(420), primary_key=True),
        sa.Column("day", sa.String(10), primary_key=True),
        sa.Column("cost_nano", _BIG, nullable=False),
        sa.Column("tokens", _BIG, nullable=False),
        sa.Column("requests", _BIG, nullable=False),
    )
    op.create_table(
        "virtual_keys",
        sa.Column("digest", sa.LargeBinary(32), primary_key=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("scheme", sa.String(20), nullable=False),
        sa.Column("hint", sa.String(8), nullable=False),
        sa.Column("team", sa.String(200)),
        sa.Column("customer", sa.String(200)),
        sa.Column("grants", sa.Text, nullable=False),
        sa.Column("limits", sa.Text, nullable=False),
        sa.Column("created_ns", _BIG, nullable=False),
        sa.Column("expires_ns", _BIG),
        sa.Column("revoked_ns", _BIG),
    )
    op.create_index("ix_virtual_keys_name", "virtual_keys", ["name"])


def downgrade() -> None:
    for table in ("virtual_keys", "usage_daily", "ledger"):
        op.drop_table(table)
