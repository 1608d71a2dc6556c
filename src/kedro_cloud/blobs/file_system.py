"""Provide blob storage as a file system: adlfs with atomic writes and Kedro's errors."""

from __future__ import annotations

import errno
import functools
import logging
import os
from typing import Any

from adlfs import AzureBlobFileSystem  # type: ignore[import-untyped]
from adlfs.spec import AzureBlobFile  # type: ignore[import-untyped]
from azure.core import MatchConditions
from azure.core.credentials import AzureNamedKeyCredential, AzureSasCredential
from azure.core.exceptions import ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob.aio import BlobServiceClient
from fsspec.asyn import sync_wrapper

from kedro_cloud.blobs.errors import ROLE, StorageError
from kedro_cloud.blobs.requests import RETRY_OPTIONS, RequestPolicy
from kedro_cloud.blobs.storage import (
    ACCOUNT_KEY,
    ACCOUNT_NAME,
    CONNECTION_STRING,
    SAS_TOKEN,
    read_credentials,
)
from kedro_cloud.blobs.upload import BLOCK, CONCURRENCY, BlobUpload
from kedro_cloud.core import identity

logger = logging.getLogger(__name__)

CLIENT_OPTIONS = {
    "connection_timeout": 20,  # seconds until there is a connection
    "read_timeout": 60,  # seconds of silence after which a connection counts as lost
    **dict.fromkeys(("max_single_put_size", "max_block_size"), BLOCK),
    **dict.fromkeys(("max_single_get_size", "max_chunk_get_size"), BLOCK),
}
_FROM_ENVIRONMENT = {
    "account_key": ACCOUNT_KEY,
    "client_id": "AZURE_CLIENT_ID",
    "client_secret": "AZURE_CLIENT_SECRET",
    "tenant_id": "AZURE_TENANT_ID",
}


class _CachedByCredentials(type(AzureBlobFileSystem)):  # type: ignore[misc]
    """Include the environment's credentials in the key of fsspec's instance cache.

    fsspec reads the attributes that `_extra_tokenize_attributes` names from the class.
    """

    @property
    def credentials(cls) -> tuple[str | None, ...]:
        """Credentials that the environment sets."""
        return read_credentials()


class BlobFileSystem(AzureBlobFileSystem, metaclass=_CachedByCredentials):  # type: ignore[misc]
    """File system of `abfs://container/path`; `kedro_cloud.blobs.storage` sets account and sign-in.

    Writes are atomic. Listings are not cached, as other processes write as well. Requests are
    retried after transient errors; errors that a person has to fix raise `StorageError`.
    """

    _extra_tokenize_attributes = ("credentials",)

    def __init__(self, **options: Any) -> None:
        """Connect to an account.

        Args:
            options: Options of adlfs, without keys and passwords.

        Raises:
            ValueError: The options contain a key or password.
            StorageError: No account is named, or the connection string is not valid.
        """
        for name, variable in _FROM_ENVIRONMENT.items():
            if options.get(name):
                raise ValueError(
                    f"blob storage: {name} is taken from {variable} only, never from a file; "
                    "run `az login`"
                )
        defaults = {"use_listings_cache": False, "blocksize": BLOCK, "max_concurrency": CONCURRENCY}
        options = {**defaults, **options}
        if not (options.get("credential") or options.get("anon")):
            options["credential"] = _credential(options)
        super().__init__(**options)

    def do_connect(self) -> None:
        """Create the client that sends all requests; that of adlfs has no timeouts or retries."""
        policy = RequestPolicy(**RETRY_OPTIONS)
        options: dict[str, Any] = {**CLIENT_OPTIONS, "retry_policy": policy}
        if self.connection_string:
            try:
                client = BlobServiceClient.from_connection_string(self.connection_string, **options)
            except ValueError as error:
                raise StorageError(
                    f"blob storage: {CONNECTION_STRING} is not a connection string ({error}); copy "
                    "it again, or unset it"
                ) from error
        elif self.account_name:
            host = getattr(self, "account_host", f"{self.account_name}.blob.core.windows.net")
            self.account_url = f"https://{host}"
            client = BlobServiceClient(self.account_url, self.credential, **options)
        else:
            raise StorageError(
                "blob storage: no account is set; set storage_account in globals.yml of the "
                f"environment, or {ACCOUNT_NAME}"
            )
        policy.hostname = client.primary_hostname
        policy.account = str(client.account_name or self.account_name)
        self.service_client = client

    def _open(
        self, path: str, mode: str = "rb", block_size: int | None = None, **options: Any
    ) -> Any:
        if mode in ("wb", "xb"):
            return BlobUpload(self, path, exclusive=mode == "xb")
        if mode == "rb":
            size = block_size or self.blocksize
            return _BlobReader(
                self, path, mode, block_size=size, **{"cache_type": "readahead", **options}
            )
        return super()._open(path, mode, block_size, **options)

    async def _check_container(self, container: str) -> None:
        """Raise StorageError if a container does not exist or this identity may not list it."""
        async with self.service_client.get_container_client(container) as client:
            async for _ in client.list_blobs(results_per_page=1):
                return

    check_container = sync_wrapper(_check_container)

    async def _isfile(self, path: str) -> bool:
        """Return whether a blob exists; the method of adlfs returns False on any error."""
        try:
            return (await self._info(path))["type"] == "file"
        except FileNotFoundError:
            return False

    async def _ls_containers(self, return_glob: bool = False) -> list[dict[str, Any]]:
        """Return all containers; the method of adlfs returns the cached listing."""
        containers = self.service_client.list_containers(include_metadata=True)
        details: list[dict[str, Any]] = await self._details([each async for each in containers])
        return details

    async def _rm(self, path: Any, **options: Any) -> None:
        try:
            await super()._rm(path, **options)
        except RuntimeError as error:  # adlfs wraps every error in one
            if isinstance(error.__cause__, StorageError):
                raise error.__cause__ from None
            raise

    rm = sync_wrapper(_rm)


class _BlobReader(AzureBlobFile):  # type: ignore[misc]
    """A blob as it was when it was opened; raise if another process replaces it meanwhile."""

    async def _async_fetch_range(self, start: int, end: int | None = None, **_: Any) -> bytes:
        end = self.size if end is None else min(end, self.size)
        try:
            stream = await self.container_client.download_blob(
                self.blob,
                offset=start,
                length=end - start,
                max_concurrency=self.fs.max_concurrency,
                etag=self.details["etag"],
                match_condition=MatchConditions.IfNotModified,
            )
            content: bytes = await stream.readall()
        except (ResourceModifiedError, ResourceNotFoundError) as error:
            if await self.container_client.get_blob_client(self.blob).exists():
                raise StorageError(
                    f"abfs://{self.path}: replaced by another process while it was read; run again"
                ) from error
            raise FileNotFoundError(
                errno.ENOENT, "removed by another process while it was read", self.path
            ) from error
        return content

    _fetch_range = sync_wrapper(_async_fetch_range)


def _credential(options: dict[str, Any]) -> Any:
    """Return the credential: a token, a key or an identity; None with a connection string."""
    connection_string, sas_token, account_key = read_credentials()
    if options.get("connection_string") or connection_string:
        return None
    if token := options.get("sas_token") or sas_token:
        return AzureSasCredential(token.lstrip("?"))
    account = options.get("account_name") or os.environ.get(ACCOUNT_NAME)
    if account_key and account:
        _warn_of_key()
        return AzureNamedKeyCredential(account, account_key)
    return identity.async_credential()


@functools.cache
def _warn_of_key() -> None:
    """Warn once, however many datasets there are."""
    logger.warning(
        "%s gives full access to the storage account; unset it, and run `az login` with the role "
        "%s, or set a SAS token as %s",
        *(ACCOUNT_KEY, ROLE, SAS_TOKEN),
    )
