"""A local file system that replaces files atomically."""

from __future__ import annotations

import contextlib
import io
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

from fsspec.implementations.local import LocalFileSystem


class AtomicLocalFileSystem(LocalFileSystem):  # type: ignore[misc]  # fsspec is untyped
    """fsspec's local file system with atomic writes: to a temporary file, renamed on close.

    A reader sees the old file or the new one. If the writing `with` block raises an
    exception, or the process dies, the old file is unchanged. Reading and appending are
    those of the base class. Text is UTF-8 in every locale.
    """

    def open(
        self, path: str, mode: str = "rb", block_size: int | None = None, **kwargs: Any
    ) -> Any:
        """Open a file as the base class does."""
        if "b" not in mode:
            kwargs.setdefault("encoding", "utf-8")
        return super().open(path, mode=mode, block_size=block_size, **kwargs)

    def _open(
        self, path: str, mode: str = "rb", block_size: int | None = None, **kwargs: Any
    ) -> Any:
        if not set(mode) & set("wx"):
            return super()._open(path, mode=mode, block_size=block_size, **kwargs)
        target = Path(self._strip_protocol(path))
        if "x" in mode and target.exists():
            raise FileExistsError(f"{target}: file exists already; choose another name")
        if self.auto_mkdir:
            target.parent.mkdir(parents=True, exist_ok=True)
        return _Replacement(target)


class _Replacement(io.FileIO):
    """A temporary binary file that replaces `target` when it is closed."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._temporary = target.with_name(f".{target.name}.{uuid4().hex[:8]}.part")
        # Text wrappers close this file without passing an exception on, so a failure is
        # recognised by an exception that was not being handled when the file was opened.
        self._outer_exception = sys.exception()
        self._write_failed = False
        super().__init__(self._temporary, "w")

    def write(self, data: Any, /) -> int:
        """Write all of `data`; FileIO may write only a part of it."""
        view = memoryview(data).cast("B")
        written = 0
        try:
            while written < len(view):
                written += super().write(view[written:])
        except OSError as error:
            self._write_failed = True
            error.filename = error.filename or str(self._target)
            raise
        except BaseException:
            # `close` does not see this exception if a text wrapper flushes while closing.
            self._write_failed = True
            raise
        return written

    def close(self) -> None:
        if self.closed:
            return
        failed = self._write_failed or sys.exception() is not self._outer_exception
        try:
            super().close()
            if not failed:
                self._temporary.replace(self._target)
        finally:
            with contextlib.suppress(FileNotFoundError):
                self._temporary.unlink()
