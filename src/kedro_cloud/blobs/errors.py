"""Explain errors of blob storage, each in one line with what to do."""

from __future__ import annotations

import binascii
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

from aiohttp import ClientConnectorDNSError
from azure.core.exceptions import AzureError, ClientAuthenticationError
from kedro.io.core import DatasetError

from kedro_cloud.blobs.storage import ACCOUNT_KEY, CONNECTION_STRING, SAS_TOKEN

ROLE = "Storage Blob Data Contributor"

# Templates of messages, each of which continues the sentence "storage account NAME ...".
_OTHER_TENANT = (
    "does not accept this sign-in ({what}); run `az login --tenant TENANT` with the account's own "
    "tenant"
)
_INVALID_NAME = (
    "does not accept this name ({what}); a container's has 3 to 63 lower-case letters, digits and "
    "single hyphens, a path up to 1024 characters"
)
_BY_CODE = {
    "AccountIsDisabled": "is disabled ({what}); enable its subscription",
    "AuthenticationFailed": (
        f"does not accept the key or token ({{what}}); run `az login`, or correct {ACCOUNT_KEY} or "
        f"{CONNECTION_STRING}, and check this machine's clock"
    ),
    "AuthorizationFailure": (
        "does not allow requests from this network ({what}); allow it under Networking, Firewalls "
        "and virtual networks"
    ),
    "ContainerNotFound": (
        "has no container '{container}'; create it: az storage container create --auth-mode login "
        "--account-name {account} --name {container} (or in the portal: Data storage, Containers)"
    ),
    "InvalidAuthenticationInfo": _OTHER_TENANT,
    "InvalidBlockList": (
        "refused a request ({what}): two processes wrote this blob at the same time; let only one "
        "of them write it, and run again"
    ),
    "InvalidResourceName": _INVALID_NAME,
    "KeyBasedAuthenticationNotPermitted": (
        f"does not allow account keys ({{what}}); unset {ACCOUNT_KEY} and {CONNECTION_STRING}, and "
        "run `az login`"
    ),
    "NoAuthenticationInformation": _OTHER_TENANT,
    "OutOfRangeInput": _INVALID_NAME,
}
_NO_ROLE = (
    f"does not allow this identity ({{what}}); assign it the role {ROLE}, under Access Control "
    "(IAM) of the account; a new role takes some minutes"
)
_REJECTED_TOKEN = (
    f"does not accept the SAS token{{expired}} for this request ({{what}}); set {SAS_TOKEN} to a "
    "new one of this account that permits read, add, create, write, delete and list, or unset it "
    "and run `az login`"
)
_BUSY = "was too busy in {tries} tries ({what}); run again later, or with fewer processes at a time"
_REFUSED = "refused a request ({what})"
_HANDLED_BY_CALLERS = ("", "BlobAlreadyExists", "ConditionNotMet", "ContainerAlreadyExists")
"""Codes that callers handle, as they handle the statuses 404 and 416; responses may have none."""


class StorageError(DatasetError):
    """Blob storage rejects a request until a person fixes the cause.

    Not an OSError, as callers handle those as missing or damaged files.
    """


@dataclass(frozen=True)
class Target:
    """The resource that a request addresses.

    Attributes:
        account: Name of the storage account.
        container: Name of the container; empty for the account itself.
        path: Path of the blob, or prefix of a listing; empty for the container.
        sas_expiry: Time at which the SAS token expires, from the token; None without a token.
        tries: Number of times that the request was sent.
    """

    account: str
    container: str
    path: str
    sas_expiry: str | None
    tries: int

    @classmethod
    def parse(cls, url: str, hostname: str, account: str, tries: int) -> Self:
        """Return the resource of a URL below `hostname`, which may include a path."""
        parts = urlsplit(url)
        container, _, path = unquote(
            f"{parts.netloc}{parts.path}".removeprefix(hostname).strip("/")
        ).partition("/")
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        expiry = query.get("se", "") if "sig" in query else None
        return cls(account, container, path or query.get("prefix", ""), expiry, tries)

    def error(self, text: str, **values: str) -> StorageError:
        """Return the error whose message is a template of this module, filled in.

        Args:
            text: Template; its placeholders are attributes of the target, or in `values`.
            values: Values of the other placeholders.
        """
        path = "/".join(part for part in (self.container, self.path) if part)
        prefix = f"abfs://{path}: " if path else ""
        return StorageError(
            f"{prefix}storage account {self.account} {text.format(**vars(self), **values)}"
        )


def explain_response(target: Target, response: Any) -> StorageError | None:
    """Return the error of a response; None if it is successful or left to callers."""
    status, code = response.status_code, response.headers.get("x-ms-error-code") or ""
    # Both are ISO 8601 in UTC, so comparing the strings compares the times.
    expired = "" < (target.sas_expiry or "") < datetime.now(UTC).isoformat()
    if target.tries > 1 and (status >= 500 or status in (408, 429)):
        text = _BUSY
    elif status in (401, 403):
        text = _BY_CODE.get(code, _NO_ROLE) if target.sas_expiry is None else _REJECTED_TOKEN
    elif code in _BY_CODE and not (code == "ContainerNotFound" and _is_optional(response.request)):
        text = _BY_CODE[code]
    elif status >= 400 and status not in (404, 416) and code not in _HANDLED_BY_CALLERS:
        text = _REFUSED
    else:
        return None
    return target.error(
        text,
        what=f"{status} {code}".strip(),
        expired=f", which expired at {target.sas_expiry}," if expired else "",
    )


def explain_error(target: Target, error: AzureError) -> StorageError:
    """Return the error of a request without a response."""
    reason = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, ClientAuthenticationError):
        if isinstance(error.__cause__, binascii.Error):
            return target.error(
                "cannot be accessed: its key is not valid ({reason}); correct "
                f"{ACCOUNT_KEY} or {CONNECTION_STRING}, or unset it and run `az login`",
                reason=reason,
            )
        _, found, rest = reason.partition("AADSTS")
        return target.error(
            "cannot be accessed: no credential{reason}; run `az login`, or set "
            f"{SAS_TOKEN}; on Azure ML, give the cluster an identity with the role {ROLE}",
            reason=f" ({found}{rest.partition('.')[0]})" if found else "",
        )
    if isinstance(error.inner_exception, ClientConnectorDNSError):
        return target.error(
            "does not exist (no host {host}); correct storage_account in globals.yml of the "
            "environment, or check the network",
            host=error.inner_exception.host,
        )
    return target.error(
        "could not be reached in {tries} tries ({reason}); check the network, and run again",
        reason=reason,
    )


def _is_optional(request: Any) -> bool:
    """Return whether the container of a request may be missing: an existence check or deletion."""
    is_check = "restype=container" in request.url and "comp=" not in request.url
    return is_check or request.method == "DELETE"
