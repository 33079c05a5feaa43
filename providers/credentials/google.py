"""Access tokens for Vertex AI, by google-auth (https://google-auth.readthedocs.io/).

From a service account's key (a file or its content), or from the application's default credentials, which may be of
any kind: a user's, workload identity, a machine's. Needs the extra ``vertex``.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from datetime import UTC
from pathlib import Path
from typing import Any

import google.auth
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError
from google.auth.transport.requests import Request
from google.oauth2.service_account import Credentials as Account

from providers.credentials.base import CredentialsUnavailable
from providers.credentials.renewing import Renewing, Token

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_SHORT_S = 600.0
"""How long a token is kept that does not say when it ends."""
_CODE = re.compile(r"[a-z_]{3,40}(?=:|$)")
_ADVICE = (
    "set google.credentials_file, or run `gcloud auth application-default login`, or run where Google gives an identity"
)


class GoogleCredentials:
    """``providers.credentials.base.Credentials``. Without ``file`` and ``info``: the application's default."""

    def __init__(self, *, file: Path | None = None, info: Mapping[str, Any] | None = None, scope: str = SCOPE) -> None:
        self._file = file
        self._info = info
        self._scopes = [scope]
        self._source: Any = None
        self._tokens: Renewing[Token] = Renewing(self._fetch)

    async def headers(self, method: str, url: str, body: bytes) -> Sequence[tuple[str, str]]:
        token = await self._tokens.get()
        bearer = ("authorization", f"Bearer {token.value}")
        payer = getattr(self._source, "quota_project_id", None)
        return (bearer, ("x-goog-user-project", payer)) if payer else (bearer,)

    def _fetch(self) -> Token:
        try:
            if self._source is None:
                self._source = self._resolve()
            self._source.refresh(Request())
        except DefaultCredentialsError:
            raise CredentialsUnavailable(f"no Google credentials that can be used; {_ADVICE}") from None
        except GoogleAuthError as error:
            raise CredentialsUnavailable(
                f"Google gave no access token ({_said(error)}); "
                "check the key, whether it is still valid, and the way to its token endpoint"
            ) from None
        except (OSError, ValueError) as error:
            key = self._file or "in the configuration"
            raise CredentialsUnavailable(
                f"the Google key {key} cannot be read ({type(error).__name__}); {_ADVICE}"
            ) from None
        ends = self._source.expiry
        return Token(self._source.token, ends.replace(tzinfo=UTC).timestamp() if ends else time.time() + _SHORT_S)

    def _resolve(self) -> Any:
        if self._info is not None:
            return Account.from_service_account_info(  # type: ignore[no-untyped-call]
                dict(self._info), scopes=self._scopes
            )
        if self._file is not None:
            return Account.from_service_account_file(  # type: ignore[no-untyped-call]
                str(self._file), scopes=self._scopes
            )
        return google.auth.default(scopes=self._scopes)[0]


def _said(error: GoogleAuthError) -> str:
    """OAuth's word for what was wrong; the rest of a message may repeat what was sent."""
    found = _CODE.match(str(error.args[0])) if error.args else None
    return found.group() if found else type(error).__name__
