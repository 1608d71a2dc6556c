"""Blob storage as a file system: adlfs, entered our way, with files whole or not at all."""

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
from kedro_cloud.blobs.requests import PATIENCE, Retries
from kedro_cloud.blobs.storage import (
    ACCOUNT_KEY,
    ACCOUNT_NAME,
    CONNECTION_STRING,
    SAS_TOKEN,
    entry,
)
from kedro_cloud.blobs.upload import BlobUpload
from kedro_cloud.core import identity

logger = logging.getLogger(__name__)

BLOCK = 8 << 20
"""Bytes of one request. Its answer takes some 20 ms, its way 100 ms and more: larger ones gain
little, and each is sent again as a whole when a connection is lost."""
AT_ONCE = 8
"""Requests under way for one file: enough for a virtual machine's network, and 64 MiB in memory."""

_FROM_ENVIRONMENT = {
    "account_key": ACCOUNT_KEY,
    "client_id": "AZURE_CLIENT_ID",
    "client_secret": "AZURE_CLIENT_SECRET",
    "tenant_id": "AZURE_TENANT_ID",
}


class _PerEntry(type(AzureBlobFileSystem)):  # type: ignore[misc]
    """fsspec gives out the same instance again, unless its arguments differ, or this."""

    @property
    def entry(cls) -> tuple[str | None, ...]:
        """What the environment says about the way in."""
        return entry()


class BlobFileSystem(AzureBlobFileSystem, metaclass=_PerEntry):  # type: ignore[misc]
    """`abfs://container/path`; see `kedro_cloud.blobs.storage` for the account and the way in.

    A blob is replaced whole or not at all. Nothing that is listed is remembered, as other
    processes write, too. Requests are tried again where that helps; faults that a person can
    mend are a `StorageError` of one line.
    """

    _extra_tokenize_attributes = ("entry",)

    def __init__(self, **options: Any) -> None:
        """Reach an account.

        Args:
            options: Those of adlfs, of which hardly any are needed; no keys and passwords.

        Raises:
            ValueError: A key or password is among them.
        """
        for name, variable in _FROM_ENVIRONMENT.items():
            if options.get(name):
                raise ValueError(
                    f"blob storage: {name} is taken from {variable} only, never from a file; "
                    "better run `az login`"
                )
        defaults = {"use_listings_cache": False, "blocksize": BLOCK, "max_concurrency": AT_ONCE}
        options = {**defaults, **options}
        if not (options.get("credential") or options.get("anon")):
            options["credential"] = _credential(options)
        super().__init__(**options)

    def do_connect(self) -> None:
        """Make the client that all requests go through.

        Raises:
            StorageError: No account is named, or the connection string is none.
        """
        options: dict[str, Any] = {
            "retry_policy": Retries(PATIENCE),
            "connection_timeout": PATIENCE.connecting,
            "read_timeout": PATIENCE.reading,
            "max_single_put_size": BLOCK,
            "max_block_size": BLOCK,
            "max_single_get_size": BLOCK,
            "max_chunk_get_size": BLOCK,
        }
        if self.connection_string:
            try:
                self.service_client = BlobServiceClient.from_connection_string(
                    self.connection_string, **options
                )
            except ValueError as error:
                raise StorageError(
                    f"blob storage: {CONNECTION_STRING} is no connection string ({error}); copy "
                    "it anew, or unset it"
                ) from error
            return
        if not self.account_name:
            raise StorageError(
                "blob storage: which account? Name it as storage_account in globals.yml of the "
                f"environment, or in {ACCOUNT_NAME}"
            )
        host = getattr(self, "account_host", f"{self.account_name}.blob.core.windows.net")
        self.account_url = f"https://{host}"
        self.service_client = BlobServiceClient(self.account_url, self.credential, **options)

    def _open(
        self, path: str, mode: str = "rb", block_size: int | None = None, **options: Any
    ) -> Any:
        if mode in ("wb", "xb"):
            return BlobUpload(self, path, exclusive=mode == "xb", block=BLOCK, at_once=AT_ONCE)
        if mode == "rb":
            options.pop("autocommit", None)
            size = block_size or self.blocksize
            return _BlobReader(
                self, path, mode, block_size=size, **{"cache_type": "readahead", **options}
            )
        return super()._open(path, mode, block_size, **options)

    async def _require(self, container: str) -> None:
        """Raise StorageError unless there is such a container, and it can be entered."""
        async with self.service_client.get_container_client(container) as client:
            async for _ in client.list_blobs(results_per_page=1):
                return

    require = sync_wrapper(_require)

    async def _isfile(self, path: str) -> bool:
        # That of adlfs takes any fault for a no.
        container, name, _ = self.split_path(path)
        if not name:
            return False
        async with self.service_client.get_blob_client(container, name) as blob:
            try:
                properties = await blob.get_blob_properties()
            except ResourceNotFoundError:
                return False
        details = await self._details([properties])
        return bool(details[0]["type"] == "file")

    async def _ls_containers(self, return_glob: bool = False) -> list[dict[str, Any]]:
        # That of adlfs gives back what it has just remembered.
        containers = self.service_client.list_containers(include_metadata=True)
        details: list[dict[str, Any]] = await self._details([each async for each in containers])
        return details

    async def _rm(self, path: Any, **options: Any) -> None:
        try:
            await super()._rm(path, **options)
        except RuntimeError as error:  # in which adlfs hides all others
            if isinstance(error.__cause__, StorageError):
                raise error.__cause__ from None
            raise

    rm = sync_wrapper(_rm)


class _BlobReader(AzureBlobFile):  # type: ignore[misc]
    """A blob as it was when it was opened: one that is replaced meanwhile is never read in part."""

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
        except ResourceNotFoundError as error:
            raise FileNotFoundError(*_gone(self.path)) from error
        except ResourceModifiedError as error:
            if not await self.fs._exists(self.path):
                raise FileNotFoundError(*_gone(self.path)) from error
            raise StorageError(
                f"abfs://{self.path}: replaced by another process while it was read; run again"
            ) from error
        return content

    _fetch_range = sync_wrapper(_async_fetch_range)


def _gone(path: str) -> tuple[int, str, str]:
    return errno.ENOENT, "removed by another process while it was read", path


def _credential(options: dict[str, Any]) -> Any:
    """What opens the account: a token, a key, or whoever is signed in here; None for Azurite."""
    connection_string, sas_token, account_key = entry()
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
    """Say it once, however many datasets there are."""
    logger.warning(
        "%s opens the whole storage account to whoever reads it: better unset it, run `az login` "
        "and have the role %s, or set a SAS token as %s",
        *(ACCOUNT_KEY, ROLE, SAS_TOKEN),
    )
