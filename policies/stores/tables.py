"""The relational schema, in SQLAlchemy Core: the same tables on SQLite and PostgreSQL."""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

ledger = sa.Table(
    "ledger",
    metadata,
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
    sa.Column("held_nano", _BIG, nullable=False, server_default="0"),
    sa.Column("saved_nano", _BIG, nullable=False),
    sa.Column("account", sa.String(100)),
    sa.Column("reason", sa.String(20)),
    sa.Column("cache", sa.String(80)),
    sa.Column("cache_id", sa.String(64)),
    sa.Column("basis", sa.String(20), nullable=False),
    sa.Column("price_source", sa.Text),
    sa.Column("warning", sa.Text),
    sa.Column("upstream_request_id", sa.String(200)),
    sa.Column("tiers", sa.Text, nullable=False),
    sa.Index("ledger_started", "started_ns"),
    sa.Index("ledger_key_started", "key", "started_ns"),
    sa.Index("ledger_team_started", "team", "started_ns"),
    sa.Index("ledger_run", "run"),
    sa.Index("ledger_parent", "parent"),
)
"""One row per attempt, refusal or hit. ``tiers`` is the JSON array of the tiers that were charged."""

usage_daily = sa.Table(
    "usage_daily",
    metadata,
    sa.Column("tier", sa.String(420), primary_key=True),
    sa.Column("day", sa.String(10), primary_key=True),
    sa.Column("cost_nano", _BIG, nullable=False),
    sa.Column("tokens", _BIG, nullable=False),
    sa.Column("requests", _BIG, nullable=False),
)
"""What every tier used per UTC day: written in the transaction of its rows, kept when they expire."""

prices = sa.Table(
    "prices",
    metadata,
    sa.Column("provider", sa.String(100), primary_key=True),
    sa.Column("model", sa.String(200), primary_key=True),
    sa.Column("rates", sa.Text, nullable=False),
    sa.Column("changed_ns", _BIG, nullable=False),
)
"""Prices set by the operator at run time; ``rates`` is a JSON object of dollars per million tokens."""

virtual_keys = sa.Table(
    "virtual_keys",
    metadata,
    sa.Column("digest", sa.LargeBinary(32), primary_key=True),
    sa.Column("name", sa.String(200), nullable=False, index=True),
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
"""Keys made by the API: one row per secret; a rotated key has several of one name."""
