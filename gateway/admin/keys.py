"""``/api/keys``: virtual keys that live in the database. Keys of the configuration file are read-only."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from gateway.admin.errors import AdminError
from gateway.admin.security import AdminCheck
from gateway.keyring import Keyring, KeyringError, NewKey
from policies.windows import SECOND_NS


class KeyRequest(BaseModel):
    """A virtual key to make. Absent grants are the team's; without a team a key may do nothing."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    team: str | None = None
    customer: str | None = None
    allowed_models: list[str] | None = None
    allowed_tools: list[str] | None = None
    allowed_resources: list[str] | None = None
    allowed_prompts: list[str] | None = None
    budget_limit: Decimal | None = Field(default=None, ge=0, le=1_000_000_000, description="Dollars per window.")
    budget_duration: str | None = Field(default=None, description="1m 1h 1d 1w 1M 1Y")
    request_limit: int | None = Field(default=None, ge=0)
    request_limit_duration: str | None = None
    token_limit: int | None = Field(default=None, ge=0)
    token_limit_duration: str | None = None
    cache_enabled: bool | None = None
    cache_ttl_seconds: int | None = Field(default=None, gt=0, le=31_536_000)
    expires_at: datetime | None = None


class RotateRequest(BaseModel):
    """How long the old secret stays valid after the new one exists."""

    model_config = ConfigDict(extra="forbid")

    grace_seconds: int = Field(default=0, ge=0, le=30 * 86_400)


def router(keyring: Keyring, check: AdminCheck) -> APIRouter:
    """The routes, over one keyring."""
    routes = APIRouter(prefix="/api/keys", tags=["keys"], dependencies=[Depends(check)])

    @routes.get("")
    async def list_keys() -> dict[str, Any]:
        return {"keys": await keyring.listing()}

    @routes.post("", status_code=201)
    async def create_key(request: KeyRequest) -> dict[str, Any]:
        fields = request.model_dump(exclude={"expires_at"})
        expires_ns = _ns(request.expires_at) if request.expires_at else None
        try:
            return await keyring.create(NewKey(**fields, expires_ns=expires_ns))
        except KeyringError as error:
            raise AdminError(error.status, error.code, str(error)) from None

    @routes.delete("/{name}")
    async def revoke_key(name: str) -> dict[str, Any]:
        try:
            return await keyring.revoke(name)
        except KeyringError as error:
            raise AdminError(error.status, error.code, str(error)) from None

    @routes.post("/{name}/rotate", status_code=201)
    async def rotate_key(name: str, request: RotateRequest) -> dict[str, Any]:
        try:
            return await keyring.rotate(name, request.grace_seconds * SECOND_NS)
        except KeyringError as error:
            raise AdminError(error.status, error.code, str(error)) from None

    return routes


def _ns(moment: datetime) -> int:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int(aware.timestamp() * SECOND_NS)
