"""Who enters Azure's services: whoever is signed in here, or the identity of the cluster."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from azure.identity import DefaultAzureCredential
    from azure.identity.aio import DefaultAzureCredential as AsyncCredential


def credential() -> DefaultAzureCredential:
    """What shows a service who asks."""
    from azure.identity import DefaultAzureCredential  # a third of a second

    return DefaultAzureCredential(managed_identity_client_id=_of_machine())


def async_credential() -> AsyncCredential:
    """The same for a client that waits in an event loop."""
    from azure.identity.aio import DefaultAzureCredential

    return DefaultAzureCredential(managed_identity_client_id=_of_machine())


def access_token(credential: Any, scope: str) -> str:
    """Return a token with which the credential enters a service.

    Args:
        credential: From `credential`.
        scope: Of the service: `https://database.windows.net/.default`.

    Raises:
        PermissionError: The credential finds nobody to sign in as.
    """
    from azure.core.exceptions import ClientAuthenticationError

    try:
        return str(credential.get_token(scope).token)
    except ClientAuthenticationError as error:
        raise PermissionError(f"no Entra ID identity to sign in with ({error})") from error


def _of_machine() -> str | None:
    """Which identity of this machine is meant, if it has several; None if that is not said."""
    # Azure ML tells the steps of a cluster by the second, which azure-identity does not know.
    return os.environ.get("AZURE_CLIENT_ID") or os.environ.get("DEFAULT_IDENTITY_CLIENT_ID")
