"""``/api/ledger``: rows as JSON pages, sums by group, runs as trees, and new rows as they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse

from gateway.admin.errors import AdminError
from gateway.admin.security import AdminCheck
from policies.ledger import LedgerFilter, LedgerReader, LedgerRow
