"""A local file system whose files are replaced whole or not at all."""

from __future__ import annotations

import contextlib
import io
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

from fsspec.implementations.local import LocalFileSystem


class AtomicLocalFileSystem(LocalFileSystem):  # type: ignore[misc]  # fsspec is untyped
    """fsspec's local file system, writing beside the target and renaming on close.

    A reader sees the old file or the new one. When the `with` block that writes
    is left by an exception, or the process dies, the old file stays as it was.
    Appending and reading are those of the base class. Text is UTF-8, whatever the locale.
    """

    def open(
        self, path: str, mode: str = "rb", block_size: int | None = None, **kwargs: Any
    ) -> Any:
        """A file of the given mode, as with the base class."""
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
            raise FileExistsError(f"{target} exists already")
        if self.auto_mkdir:
            target.parent.mkdir(parents=True, exist_ok=True)
        return _Replacement(target)


class _Replacement(io.FileIO):
    """A binary file that takes the place of `target` when it is closed."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._beside = target.with_name(f".{target.name}.{uuid4().hex[:8]}.part")
        # Text wrappers close this file without telling why, so failure is seen
        # as an exception that was not under way when the file was opened.
        self._outer_exception = sys.exception()
        self._lost = False
        super().__init__(self._beside, "w")

    def write(self, data: Any, /) -> int:
        """Write all of `data`: unlike FileIO, never only a part of it."""
        view = memoryview(data).cast("B")
        written = 0
        try:
            while written < len(view):
                written += super().write(view[written:])
        except BaseException:
            # A text wrapper whose last lines fail on closing hides that from `close`.
            self._lost = True
            raise
        return written

    def close(self) -> None:
        if self.closed:
            return
        failed = self._lost or sys.exception() is not self._outer_exception
        try:
            super().close()
            if not failed:
                self._beside.replace(self._target)
        finally:
            with contextlib.suppress(FileNotFoundError):
                self._beside.unlink()
