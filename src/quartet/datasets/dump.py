"""Files of a Stack Exchange data dump, read line by line in bounded memory."""

from __future__ import annotations

import bz2
import gzip
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from pathlib import PurePosixPath
from typing import Any

from kedro.io.core import DatasetError
from tqdm import tqdm

from quartet.datasets.compression import check_expansion, check_no_archive
from quartet.datasets.file import FileDataset
from quartet.datasets.location import Location

_DECOMPRESSORS: dict[bytes, Callable[[], Any]] = {
    b"\x1f\x8b": lambda: zlib.decompressobj(wbits=zlib.MAX_WBITS | 16),
    b"BZh": bz2.BZ2Decompressor,
}
_CHUNK_BYTES = 128 * 1024
_BLOCK_BYTES = 1024 * 1024
"""Decompressed bytes in memory at once; a chunk may expand to gigabytes."""
_LONGEST_LINE_BYTES = 16_000_000
"""Longer lines are split, which bounds memory for files without line ends."""


@dataclass(frozen=True)
class DumpFile:
    """An XML file of a dump, compressed or not; it is read on demand by `lines`."""

    location: Location

    @property
    def name(self) -> str:
        """Return the path, for messages and reports."""
        return self.location.path

    def lines(self) -> Iterator[bytes]:
        """Yield all lines with their line ends, with a progress bar.

        Raises:
            DatasetError: The file is an archive, or its compressed stream is damaged,
                truncated, or expands to more than `quartet.datasets.compression` allows.
        """
        rest = b""
        for block in self._blocks():
            lines = (rest + block).splitlines(keepends=True)
            rest = b"" if not lines or lines[-1].endswith(b"\n") else lines.pop()
            yield from lines
            if len(rest) > _LONGEST_LINE_BYTES:
                yield rest
                rest = b""
        if rest:
            yield rest

    def _blocks(self) -> Iterator[bytes]:
        """Yield the content, decompressed if its first bytes are those of gzip or bzip2."""
        filesystem, name = self.location.filesystem, PurePosixPath(self.name).name
        options = {"total": filesystem.size(self.name), "disable": None, "delay": 2}
        with (
            filesystem.open(self.name, "rb") as file,
            tqdm.wrapattr(file, "read", desc=name, **options) as reading,
        ):
            chunks = iter(lambda: reading.read(_CHUNK_BYTES), b"")
            first = next(chunks, b"")
            check_no_archive(self.name, first, "XML")
            blocks: Iterator[bytes] = chain([first], chunks)
            for magic, create_decompressor in _DECOMPRESSORS.items():
                if first.startswith(magic):
                    blocks = self._decompress(blocks, create_decompressor)
            yield from blocks

    def _decompress(
        self, chunks: Iterable[bytes], create_decompressor: Callable[[], Any]
    ) -> Iterator[bytes]:
        """Decompress concatenated streams, as `pigz`, `pbzip2` and `cat` write them."""
        stream, position, expanded = create_decompressor(), 0, 0
        size = self.location.filesystem.size(self.name)
        for chunk in chunks:
            position += len(chunk)
            rest = chunk
            try:
                # Streams may be followed by zero bytes.
                while rest := (rest.lstrip(b"\0") if stream.eof else rest):
                    stream = create_decompressor() if stream.eof else stream
                    for block in _expand(stream, rest):
                        expanded += len(block)
                        check_expansion(self.name, size, expanded)
                        yield block
                    rest = stream.unused_data
            except (zlib.error, OSError) as error:
                raise DatasetError(
                    f"{self.name}: compressed file is damaged ({error}) within the "
                    f"{len(chunk):,} bytes before byte {position:,}; download it again"
                ) from error
        if not stream.eof:
            raise DatasetError(
                f"{self.name}: compressed stream is truncated at byte {position:,}; download the "
                "file again"
            )


def _expand(stream: Any, content: bytes) -> Iterator[bytes]:
    """Yield what compressed content expands to in blocks of a bounded size."""
    while block := stream.decompress(content, _BLOCK_BYTES):
        yield block
        # zlib returns what it has not read yet; bz2 keeps it.
        content = getattr(stream, "unconsumed_tail", b"")
        if stream.eof:
            return


class DumpFileDataset(FileDataset[bytes | Iterable[bytes], DumpFile]):
    """Provides `Posts.xml` or `PostLinks.xml` of a Stack Exchange data dump.

    The file may be compressed with gzip or bzip2. If it is missing, its name is tried with
    `.gz`, with `.bz2` and without either.

    ```yaml
    faq_posts:
      type: quartet.datasets.dump.DumpFileDataset
      filepath: data/01_raw/stackexchange/Posts.xml.gz
    ```
    """

    suffixes = (".gz", ".bz2")

    def load(self) -> DumpFile:
        """Return the handle.

        Raises:
            DatasetError: The file does not exist under any of its names.
        """
        location = self._find()
        if location is not None:
            return DumpFile(location)
        alternatives = self._location.alternatives(self.suffixes)
        names = ", ".join(PurePosixPath(location.path).name for location in alternatives)
        raise DatasetError(
            f"{self._location.path}: no such file, nor {names} beside it; set the folder of the "
            "extracted dump with --params faq_dump=FOLDER"
        )

    def save(self, data: bytes | Iterable[bytes]) -> None:
        """Write an XML file, compressed according to its suffix."""
        parts = [data] if isinstance(data, bytes) else data
        path = self._location.path
        with ExitStack() as stack:
            file = stack.enter_context(self._location.filesystem.open(path, "wb"))
            if path.endswith(".gz"):  # without time stamp and name, bytes are reproducible
                file = stack.enter_context(gzip.GzipFile("", "wb", fileobj=file, mtime=0))
            elif path.endswith(".bz2"):
                file = stack.enter_context(bz2.BZ2File(file, "wb"))
            for part in parts:
                file.write(part)
