"""The admin API's error envelope: ``{"error": {"code", "message"}}``, for every status."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as StarletteHTTPException


class AdminError(HTTPException):
    """An error of the admin API with a stable code."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(status_code=status, detail={"code": code, "message": message})


def install(app: FastAPI) -> None:
    """Render every error of ``app`` in the one envelope."""

    async def http_error(request: Request, error: Exception) -> JSONResponse:
        if not isinstance(error, StarletteHTTPException):
            raise error
        detail: Any = error.detail
        if not isinstance(detail, dict):
            detail = {"code": _CODES.get(error.status_code, "http_error"), "message": f"{detail}: {request.url.path}"}
        return JSONResponse({"error": detail}, status_code=error.status_code, headers=error.headers)

    async def invalid(request: Request, error: Exception) -> JSONResponse:
        if not isinstance(error, RequestValidationError):
            raise error
        problems = "; ".join(f"{'.'.join(str(p) for p in e['loc'])}: {e['msg']}" for e in error.errors())
        return JSONResponse({"error": {"code": "invalid_request", "message": problems}}, status_code=400)

    app.add_exception_handler(StarletteHTTPException, http_error)
    app.add_exception_handler(RequestValidationError, invalid)


_CODES = {404: "unknown_route", 405: "method_not_allowed"}
