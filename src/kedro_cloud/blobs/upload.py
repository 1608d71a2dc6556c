"""A blob on its way to storage, where it appears whole or not at all."""

from __future__ import annotations

import asyncio
import io
import sys
from collections import deque
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from azure.core import MatchConditions
from azure.core.exceptions import ResourceExistsError, ResourceModifiedError
from azure.storage.blob import BlobBlock

if TYPE_CHECKING:
    from adlfs import AzureBlobFileSystem  # type: ignore[import-untyped]


class BlobUpload(io.RawIOBase):
    """A binary file for writing, which takes the place of a blob when it is closed.

    Blocks go on their way as they fill up, some at a time, so that memory does not depend on
    the file's length. Storage shows nothing of them until it is told that they are all. When the
    `with` block is left by an exception, a block was lost, or the process dies, it never is:
    Azure forgets such blocks after a week, and the old blob stays as it was.
    """

    def __init__(
        self,
        filesystem: AzureBlobFileSystem,
        path: str,
        *,
        exclusive: bool,
        block: int,
        at_once: int,
    ) -> None:
        """Begin.

        Args:
            filesystem: That the blob is on.
            path: Container and name.
            exclusive: Refuse to replace a blob.
            block: Bytes of one request.
            at_once: Requests under way at the same time.

        Raises:
            FileExistsError: There is such a blob, and it is not to be replaced.
        """
        super().__init__()
        self.name = path
        self._filesystem = filesystem
        self._exclusive = exclusive
        self._block, self._at_once = block, at_once
        # Blocks of two processes that write the same blob must not get mixed up.
        self._prefix = uuid4().hex
        self._filled = bytearray()
        self._staged: list[str] = []
        self._under_way: deque[Future[Any]] = deque()
        self._written = 0
        self._lost = False
        # Text wrappers close this file without telling why, so failure is seen as an exception
        # that was not under way when the file was opened.
        self._outer_exception = sys.exception()
        if exclusive and filesystem.exists(path):
            raise FileExistsError(f"{path} exists already")
        container, name, _ = filesystem.split_path(path)
        self._client: Any = filesystem.service_client.get_blob_client(container, name)

    def writable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """Bytes written so far."""
        return self._written

    def write(self, data: Any, /) -> int:
        """Take all of `data`.

        Raises:
            StorageError: A block did not get through; the blob stays as it was.
        """
        if self.closed:
            raise ValueError("I/O operation on closed file")
        view = memoryview(data).cast("B")
        length = len(view)
        try:
            while view:
                part = view[: self._block - len(self._filled)]
                self._filled += part
                view = view[len(part) :]
                if len(self._filled) == self._block:
                    self._stage()
        except BaseException:
            self._lost = True
            raise
        self._written += length
        return length

    def close(self) -> None:
        """Put the blob in its place, unless something failed.

        Raises:
            StorageError: It did not get there; the blob stays as it was.
            FileExistsError: Another process was first, and its blob is not to be replaced.
        """
        if self.closed:
            return
        failed = self._lost or sys.exception() is not self._outer_exception
        try:
            if not failed:
                self._commit()
        finally:
            self._abandon()
            super().close()

    def __del__(self) -> None:
        # A file that nobody closed is one that nobody finished.
        with suppress(AttributeError):
            self._lost = True
        super().__del__()

    def _stage(self) -> None:
        """Send the block that is full, once there are not too many under way."""
        name = f"{self._prefix}{len(self._staged):06d}"
        self._staged.append(name)
        if len(self._under_way) == self._at_once:
            self._under_way.popleft().result()
        content, self._filled = self._filled, bytearray()
        sending = self._client.stage_block(name, content, length=len(content))
        self._under_way.append(asyncio.run_coroutine_threadsafe(sending, self._filesystem.loop))

    def _commit(self) -> None:
        options: dict[str, Any] = {"metadata": {"is_directory": "false"}}  # as adlfs marks files
        if not self._staged and not self._exclusive:  # one request does it
            ending = self._client.upload_blob(bytes(self._filled), overwrite=True, **options)
        else:
            if self._filled:
                self._stage()
            while self._under_way:
                self._under_way.popleft().result()
            blocks = [BlobBlock(name) for name in self._staged]
            if self._exclusive:
                options["match_condition"] = MatchConditions.IfMissing
            ending = self._client.commit_block_list(blocks, **options)
        try:
            asyncio.run_coroutine_threadsafe(ending, self._filesystem.loop).result()
        except (ResourceExistsError, ResourceModifiedError) as error:
            raise FileExistsError(f"{self.name} exists already") from error

    def _abandon(self) -> None:
        for sending in self._under_way:
            sending.cancel()
        self._under_way.clear()
        self._filled = bytearray()
