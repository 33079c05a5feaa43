"""Who may use ``/api``: whoever holds the admin token of this installation."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable

from fastapi import HTTPException, Request

AdminCheck = Callable[[Request], Awaitable[None]]


def admin_check(token: str) -> AdminCheck:
    """A dependency that lets a request pass only with ``Authorization: Bearer <admin token>``."""
    expected = token.encode()

    async def check(request: Request) -> None:
        scheme, _, presented = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(presented.strip().encode(), expected):
            raise HTTPException(
                status_code=401,
                detail={
                    "code": "admin_token_required",
                    "message": "Send the admin token (file admin.token in the state directory) as a bearer token.",
                },
                headers={"www-authenticate": "Bearer"},
            )

    return check
