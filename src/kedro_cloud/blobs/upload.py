"""Upload blobs atomically."""

from __future__ import annotations

import asyncio
import io
import sys
from collections import deque
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from azure.core import MatchConditions
from azure.core.exceptions import ResourceExistsError, ResourceModifiedError
from azure.storage.blob import BlobBlock

if TYPE_CHECKING:
    from adlfs import AzureBlobFileSystem  # type: ignore[import-untyped]

BLOCK = 8 << 20
"""Bytes of one request. Larger blocks are hardly faster, and are resent after a lost connection."""
CONCURRENCY = 8
"""Parallel requests of one file: enough for a virtual machine's network, with 64 MiB of memory."""


class BlobUpload(io.RawIOBase):
    """A binary file for writing that replaces a blob when it is closed.

    Blocks are uploaded in parallel while the file is written, so memory does not depend on its
    size. They become the blob when they are committed. If the `with` block raises, a block fails
    or the process is killed, they are not: the old blob stays, and Azure deletes the blocks after a
    week. Files of adlfs and other fsspec file systems are committed even after an exception.
    """

    def __init__(self, filesystem: AzureBlobFileSystem, path: str, *, exclusive: bool) -> None:
        """Open a blob for writing; if `exclusive`, raise FileExistsError rather than replace it."""
        super().__init__()
        self.name = path
        self._exclusive = exclusive
        self._filesystem = filesystem
        self._prefix = uuid4().hex  # no process commits the blocks of another
        self._buffer = bytearray()
        self._staged: list[BlobBlock] = []
        self._pending: deque[Future[Any]] = deque()
        self._written = 0
        self._failed = False
        # Text wrappers close this file without saying why, so a failure is seen as an exception
        # that was not being handled when the file was opened.
        self._outer_exception = sys.exception()
        container, name, _ = filesystem.split_path(path)
        if exclusive and filesystem.exists(path):
            raise FileExistsError(f"{path} exists already")
        self._client: Any = filesystem.service_client.get_blob_client(container, name)

    def writable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return how many bytes were written."""
        return self._written

    def write(self, data: Any, /) -> int:
        """Write all of `data`.

        Raises:
            StorageError: A block could not be uploaded; the blob does not change.
        """
        if self.closed:
            raise ValueError("I/O operation on closed file")
        view = memoryview(data).cast("B")
        self._written += len(view)
        try:
            while view:
                part = view[: BLOCK - len(self._buffer)]
                self._buffer += part
                view = view[len(part) :]
                if len(self._buffer) == BLOCK:
                    self._stage()
        except BaseException:
            self._failed = True
            raise
        return memoryview(data).nbytes

    def close(self) -> None:
        """Commit the blob, unless something failed.

        Raises:
            StorageError: The blob could not be committed; it does not change.
            FileExistsError: Another process created the blob, which is not to be replaced.
        """
        if self.closed:
            return
        try:
            if not self._failed and sys.exception() is self._outer_exception:
                self._commit()
        finally:
            for request in self._pending:
                request.cancel()
            super().close()

    def __del__(self) -> None:
        self._failed = True  # the file was not closed, so it is incomplete: do not commit it
        super().__del__()

    def _stage(self) -> None:
        """Start the upload of a block; wait first while CONCURRENCY uploads are pending."""
        if len(self._pending) == CONCURRENCY:
            self._pending.popleft().result()
        block, self._buffer = bytes(self._buffer), bytearray()
        self._staged.append(BlobBlock(f"{self._prefix}{len(self._staged):06d}"))
        self._pending.append(self._run(self._client.stage_block(self._staged[-1].id, block)))

    def _commit(self) -> None:
        options: dict[str, Any] = {"metadata": {"is_directory": "false"}}  # as adlfs marks files
        if not self._staged:  # a single request is sufficient
            block, overwrite = bytes(self._buffer), not self._exclusive
            request = self._client.upload_blob(block, overwrite=overwrite, **options)
        else:
            if self._exclusive:
                options["match_condition"] = MatchConditions.IfMissing
            if self._buffer:
                self._stage()
            while self._pending:
                self._pending.popleft().result()
            request = self._client.commit_block_list(self._staged, **options)
        try:
            self._run(request).result()
        except (ResourceExistsError, ResourceModifiedError) as error:
            raise FileExistsError(f"{self.name} exists already") from error

    def _run(self, request: Any) -> Future[Any]:
        return asyncio.run_coroutine_threadsafe(request, self._filesystem.loop)
