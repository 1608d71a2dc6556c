"""Get credentials for Azure: of the signed-in user, or of the cluster's identity."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from azure.identity import DefaultAzureCredential
    from azure.identity.aio import DefaultAzureCredential as AsyncCredential


def credential() -> DefaultAzureCredential:
    """Return the credential for Azure services."""
    from azure.identity import DefaultAzureCredential  # takes 0.3 s to import

    return DefaultAzureCredential(managed_identity_client_id=_identity_client_id())


def async_credential() -> AsyncCredential:
    """Return the credential for asynchronous clients."""
    from azure.identity.aio import DefaultAzureCredential

    return DefaultAzureCredential(managed_identity_client_id=_identity_client_id())


def access_token(credential: Any, scope: str) -> str:
    """Return an access token for a service.

    Args:
        credential: From `credential`.
        scope: Scope of the service: `https://database.windows.net/.default`.

    Raises:
        PermissionError: No identity is signed in.
    """
    from azure.core.exceptions import ClientAuthenticationError

    try:
        return str(credential.get_token(scope).token)
    except ClientAuthenticationError as error:
        raise PermissionError(f"no Entra ID identity to sign in with ({error})") from error


def _identity_client_id() -> str | None:
    """Return the client ID of the machine's identity, if it has several; None if not set."""
    # Azure ML sets the second variable in steps on a cluster; azure-identity does not read it.
    return os.environ.get("AZURE_CLIENT_ID") or os.environ.get("DEFAULT_IDENTITY_CLIENT_ID")
