"""What went wrong with blob storage, each in one line that says what to do."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

from azure.core.exceptions import AzureError, ClientAuthenticationError
from kedro.io.core import DatasetError

from kedro_cloud.blobs.storage import ACCOUNT_KEY, CONNECTION_STRING, SAS_TOKEN

ROLE = "Storage Blob Data Contributor"
_PERMISSIONS = "read, add, create, write, delete and list"
_EXPECTED = ("", "BlobAlreadyExists", "ConditionNotMet", "ContainerAlreadyExists")
"""Answers to the question that a request asked. Others are of leases, archives and policies."""
_OTHER_TENANT = (
    "does not accept this sign-in ({what}); run `az login --tenant TENANT` with the account's own "
    "tenant"
)


class StorageError(DatasetError):
    """Blob storage cannot be used as it is asked for; a person can mend it.

    Not an OSError: a file that is missing or damaged is something else, and is handled by those
    who asked for it.
    """


@dataclass(frozen=True)
class Place:
    """What a request is about.

    Attributes:
        host: That the request goes to.
        account: Name of the storage account.
        container: Name of the container; empty for the account itself.
        path: Of the blob; empty for the container itself.
        signature: Fields of a SAS token that the request carries; else none.
    """

    host: str
    account: str
    container: str
    path: str
    signature: Mapping[str, str]

    @classmethod
    def of(cls, url: str) -> Self:
        """From a request's address."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        account, inside = host.partition(".")[0], unquote(parts.path).lstrip("/")
        if _is_address(host):  # Azurite has the account in the path
            account, _, inside = inside.partition("/")
        container, _, path = inside.partition("/")
        fields = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if not path and "prefix" in fields:
            path = fields["prefix"]
        return cls(host, account, container, path, fields if "sig" in fields else {})

    def __str__(self) -> str:
        inside = "/".join(part for part in (self.container, self.path) if part)
        return f"abfs://{inside}" if inside else f"storage account {self.account}"


def refused(place: Place, status: int, code: str) -> StorageError | None:
    """Why storage does not do what it is asked for; None for answers that callers know to handle.

    Args:
        place: What was asked for.
        status: Of the HTTP response.
        code: Azure's own name of the error, or nothing.
    """
    what = f"{status} {code}".strip()
    if status == 404 and code == "ContainerNotFound":
        return StorageError(
            f"{place}: storage account {place.account} has no container '{place.container}'; make "
            f"it: az storage container create --auth-mode login --account-name {place.account} "
            f"--name {place.container} (or in the portal: Data storage, Containers)"
        )
    if status in (401, 403):
        known = _CLOSED.get(code, _NO_ROLE).format(what=what)
        why = _unfit(place.signature, code, what) if place.signature else known
        return StorageError(f"{place}: storage account {place.account} {why}")
    if code in ("InvalidResourceName", "OutOfRangeInput"):
        return StorageError(
            f"{place}: not a name that blob storage takes ({what}); a container's has 3 to 63 "
            "lower-case letters, digits and single hyphens, a path up to 1024 characters"
        )
    if code == "InvalidBlockList":
        return StorageError(
            f"{place}: two processes wrote it at the same time; let one of them write it, and run "
            "again"
        )
    if 400 <= status < 500 and status not in (404, 416) and code not in _EXPECTED:
        return StorageError(f"{place}: storage account {place.account} refused a request ({what})")
    return None


_CLOSED = {
    "AccountIsDisabled": "is disabled ({what}); enable its subscription",
    "AuthenticationFailed": (
        "does not accept the key or token ({what}); run `az login` anew, or correct "
        f"{ACCOUNT_KEY} or {CONNECTION_STRING}, and check this machine's clock"
    ),
    "AuthorizationFailure": (
        "admits no requests from this network ({what}); allow it under Networking, Firewalls and "
        "virtual networks"
    ),
    "InvalidAuthenticationInfo": _OTHER_TENANT,
    "KeyBasedAuthenticationNotPermitted": (
        f"admits no account keys ({{what}}); unset {ACCOUNT_KEY} and {CONNECTION_STRING}, and run "
        "`az login`"
    ),
    "NoAuthenticationInformation": _OTHER_TENANT,
}
"""What an account says to whoever may not enter, by Azure's name of the error."""
_NO_ROLE = (
    f"does not let this identity in ({{what}}); give it the role {ROLE}, under Access Control "
    "(IAM) of the account; a new role takes some minutes"
)


def _unfit(signature: Mapping[str, str], code: str, what: str) -> str:
    """What is wrong with a SAS token."""
    end = _moment(signature.get("se", ""))
    if end is not None and end <= datetime.now(UTC):
        return (
            f"does not accept the SAS token, which expired at {signature['se']} ({what}); make a "
            f"new one and set {SAS_TOKEN}, or unset it and run `az login`"
        )
    if code.startswith("Authorization") and code != "AuthorizationFailure":
        return (
            f"says that the SAS token in {SAS_TOKEN} does not permit this ({what}); make one that "
            f"permits {_PERMISSIONS}"
        )
    return (
        f"does not accept the SAS token in {SAS_TOKEN} ({what}); make a new one for this account, "
        f"which permits {_PERMISSIONS}"
    )


def unreachable(place: Place, error: AzureError, tries: int, seconds: float) -> StorageError:
    """Why no answer came.

    Args:
        place: What was asked for.
        error: Of the last try.
        tries: How many there were.
        seconds: That they took.
    """
    if isinstance(error, ClientAuthenticationError):
        return no_credential(place, error)
    if is_unknown_host(error):
        return StorageError(
            f"{place}: there is no storage account '{place.account}' ({place.host} is unknown); "
            "name yours as storage_account in globals.yml of the environment; if that is right, "
            "check the network"
        )
    reason = " ".join(str(error).split()) or type(error).__name__
    return StorageError(
        f"{place}: storage account {place.account} could not be reached in {tries} tries, "
        f"{seconds:.0f} s ({reason}); check the network, and run again"
    )


def busy(place: Place, status: int, code: str, tries: int, seconds: float) -> StorageError:
    """Storage turned all tries away, or failed at all of them."""
    what = f"{status} {code}".strip()
    return StorageError(
        f"{place}: storage account {place.account} was too busy in {tries} tries, {seconds:.0f} s "
        f"({what}); run again later, or with fewer processes at a time"
    )


def no_credential(place: Place, error: Exception) -> StorageError:
    """Nobody is signed in, or not as one who may."""
    if type(error).__name__ == "AzureSigningError":  # private to the SDK
        return StorageError(
            f"{place}: the key of storage account {place.account} is no key ({error}); correct "
            f"{ACCOUNT_KEY} or {CONNECTION_STRING}, or better unset it and run `az login`"
        )
    told = re.search(r"AADSTS\d+: [^.\r\n]*", str(error))
    reason = f" ({told[0]})" if told else ""
    return StorageError(
        f"{place}: no credential for storage account {place.account}{reason}; run `az login`, or "
        f"set {SAS_TOKEN}; on Azure ML, give the cluster an identity with the role {ROLE}"
    )


def is_unknown_host(error: BaseException) -> bool:
    """Whether the name of the host was the fault."""
    inner = getattr(error, "inner_exception", None)
    return isinstance(getattr(inner, "os_error", None), socket.gaierror)


def code_of(response: Any) -> str:
    """Azure's own name of an error, or nothing."""
    return str(response.headers.get("x-ms-error-code") or "")


def _is_address(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
