"""Signs requests for Amazon Bedrock with AWS Signature Version 4, by botocore
(https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html).

Keys come from the configuration, or from where AWS's own tools look for them: environment, profiles, single sign-on,
web identities, containers and instances. On either a role may be assumed. Needs the extra ``bedrock``.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import (
    AssumeRoleCredentialFetcher,
    Credentials,
    DeferredRefreshableCredentials,
    RefreshableCredentials,
)
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import Session

from providers.credentials.base import CredentialsUnavailable
from providers.credentials.renewing import Renewing

# At its debug level this logger writes the session token.
logging.getLogger("botocore.auth").setLevel(logging.INFO)

_ADVICE = "set aws.access_key_id and aws.secret_access_key, or aws.profile, or run where AWS gives a role"
_STEP_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsIdentity:
    """As whom requests are signed. Without a key: whoever botocore finds."""

    access_key: str | None = None
    secret_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    profile: str | None = None
    role_arn: str | None = None
    """To be assumed with the keys above."""
    external_id: str | None = field(default=None, repr=False)
    session_name: str = "tollkeeper"


@dataclass(frozen=True, slots=True)
class _Lease:
    source: Any = field(repr=False)
    frozen: Any = field(repr=False)

    def remaining_s(self) -> float:
        """In steps of a minute: the library only says whether it ends within a time."""
        if not isinstance(self.source, RefreshableCredentials):
            return math.inf
        for minutes in range(7):
            if self.source.refresh_needed(minutes * _STEP_S):
                return (minutes - 1) * _STEP_S
        return math.inf


class AwsCredentials:
    """``providers.credentials.base.Credentials``: adds the signature, its date and the session's token. The query and
    the path are signed as they stand in the URL: nothing may encode them again on the way."""

    def __init__(self, identity: AwsIdentity, region: str, service: str = "bedrock") -> None:
        self._identity = identity
        self._region = region
        self._service = service
        self._source: Any = None
        self._leases: Renewing[_Lease] = Renewing(self._fetch)

    async def headers(self, method: str, url: str, body: bytes) -> Sequence[tuple[str, str]]:
        lease = await self._leases.get()
        request = AWSRequest(method=method, url=url, data=body)
        SigV4Auth(lease.frozen, self._service, self._region).add_auth(request)
        return tuple(request.headers.items())

    def _fetch(self) -> _Lease:
        try:
            if self._source is None:
                self._source = self._resolve()
            return _Lease(self._source, self._source.get_frozen_credentials())
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "unknown error")
            raise CredentialsUnavailable(
                f"AWS refused to give credentials ({error.operation_name}: {code}); "
                "check aws.role_arn, aws.external_id and the role's trust policy"
            ) from None
        except BotoCoreError as error:
            raise CredentialsUnavailable(f"no AWS credentials ({type(error).__name__}); {_ADVICE}") from None
        except RuntimeError:
            # So botocore says it.
            raise CredentialsUnavailable("AWS gave credentials that have expired; check this machine's clock") from None

    def _resolve(self) -> Any:
        who = self._identity
        session = Session(profile=who.profile)
        if who.access_key:
            source = Credentials(who.access_key, who.secret_key, who.session_token)
        else:
            source = session.get_credentials()
        if source is None:
            raise CredentialsUnavailable(f"no AWS credentials were found; {_ADVICE}")
        if who.role_arn is None:
            return source
        wanted = {"RoleSessionName": who.session_name}
        if who.external_id:
            wanted["ExternalId"] = who.external_id
        fetcher = AssumeRoleCredentialFetcher(
            partial(session.create_client, region_name=self._region), source, who.role_arn, extra_args=wanted
        )
        return DeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role")
