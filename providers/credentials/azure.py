"""Access tokens for Azure's OpenAI service, by azure-identity
(https://learn.microsoft.com/azure/ai-services/openai/how-to/managed-identity). Needs the extra ``azure``."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from azure.core.credentials import TokenCredential
from azure.core.exceptions import AzureError
from azure.identity import ClientSecretCredential, DefaultAzureCredential

from providers.credentials.base import CredentialsUnavailable
from providers.credentials.renewing import Renewing, Token

SCOPE = "https://cognitiveservices.azure.com/.default"
_CODE = re.compile(r"AADSTS\d+")


class AzureCredentials:
    """``providers.credentials.base.Credentials``. ``source`` is called in a thread, when the first token is needed."""

    def __init__(self, source: Callable[[], TokenCredential], scope: str = SCOPE) -> None:
        self._source = source
        self._scope = scope
        self._credential: TokenCredential | None = None
        self._tokens: Renewing[Token] = Renewing(self._fetch)

    async def headers(self, method: str, url: str, body: bytes) -> Sequence[tuple[str, str]]:
        token = await self._tokens.get()
        return (("authorization", f"Bearer {token.value}"),)

    def _fetch(self) -> Token:
        try:
            if self._credential is None:
                self._credential = self._source()
            given = self._credential.get_token(self._scope)
        except (AzureError, ValueError) as error:
            found = _CODE.search(str(error))
            raise CredentialsUnavailable(
                f"Azure gave no access token ({found.group() if found else type(error).__name__}); "
                "check entra.tenant_id, entra.client_id and entra.client_secret, or use `az login`, or give the "
                "machine an identity"
            ) from None
        return Token(given.token, given.expires_on)


def default_credentials(*, authority: str | None = None, scope: str = SCOPE) -> AzureCredentials:
    """Whoever azure-identity finds: environment, workload and managed identity, developers' tools."""
    return AzureCredentials(lambda: DefaultAzureCredential(**_elsewhere(authority)), scope)


def client_secret_credentials(
    tenant_id: str, client_id: str, client_secret: str, *, authority: str | None = None, scope: str = SCOPE
) -> AzureCredentials:
    """An application's own identity."""
    return AzureCredentials(
        lambda: ClientSecretCredential(tenant_id, client_id, client_secret, **_elsewhere(authority)), scope
    )


def _elsewhere(authority: str | None) -> dict[str, Any]:
    """The authority of another cloud than the public one is taken as it is: whether it is one is asked of the public
    one otherwise."""
    return {"authority": authority, "disable_instance_discovery": True} if authority else {}
