"""Loads the clouds' own credentials, where a provider is configured to use them: what is not configured is not
imported."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from gateway.config.providers import Provider as ProviderEntry
from gateway.state import StateError
from providers.credentials.base import Credentials

_EXTRAS = {"aws": "bedrock", "google": "vertex", "azure": "azure"}


def credentials_of(entry: ProviderEntry) -> Credentials | None:
    """Who signs or authenticates calls of a provider; ``None`` where its key alone does. Raises ``StateError`` when
    the library is not installed."""
    if entry.type == "bedrock" and entry.api_key is None and not entry.api_keys:
        return _aws(entry)
    if entry.type == "vertex":
        return _google(entry)
    if entry.type == "azure" and entry.entra is not None:
        return _azure(entry)
    return None


def _aws(entry: ProviderEntry) -> Credentials:
    module = _loaded("aws", entry.name)
    said = entry.aws
    identity = module.AwsIdentity()
    if said is not None:
        secret, token = said.secret_access_key, said.session_token
        identity = module.AwsIdentity(
            access_key=said.access_key_id,
            secret_key=None if secret is None else secret.get_secret_value(),
            session_token=None if token is None else token.get_secret_value(),
            profile=said.profile,
            role_arn=said.role_arn,
            external_id=said.external_id,
        )
    made: Credentials = module.AwsCredentials(identity, entry.region or "us-east-1")
    return made


def _google(entry: ProviderEntry) -> Credentials:
    module = _loaded("google", entry.name)
    file = entry.google.credentials_file
    made: Credentials = module.GoogleCredentials(file=None if file is None else Path(file))
    return made


def _azure(entry: ProviderEntry) -> Credentials:
    module = _loaded("azure", entry.name)
    said = entry.entra
    made: Credentials
    if said is not None and said.client_secret is not None:
        made = module.client_secret_credentials(said.tenant_id, said.client_id, said.client_secret.get_secret_value())
    else:
        made = module.default_credentials()
    return made


def _loaded(name: str, provider: str) -> Any:
    try:
        return importlib.import_module(f"providers.credentials.{name}")
    except ImportError as error:
        extra = _EXTRAS[name]
        raise StateError(
            f"provider {provider} needs a library that is not installed ({error.name}): "
            f"install tollkeeper with its extra '{extra}' (pip install 'tollkeeper[{extra}]')."
        ) from None
