"""Files of a Stack Exchange data dump, read line by line however large they are."""

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

from quartet.datasets.file import FileDataset
from quartet.datasets.location import Location

_DECOMPRESSORS: dict[bytes, Callable[[], Any]] = {
    b"\x1f\x8b": lambda: zlib.decompressobj(wbits=zlib.MAX_WBITS | 16),
    b"BZh": bz2.BZ2Decompressor,
}
_SEVEN_ZIP = b"7z\xbc\xaf"
_CHUNK_BYTES = 128 * 1024
_LONGEST_LINE = 16_000_000
"""Bytes: a file without line ends is handed over in pieces of about this size."""


@dataclass(frozen=True)
class DumpFile:
    """One XML file of a dump, packed or not; nothing is read before `lines` is."""

    location: Location

    @property
    def name(self) -> str:
        """The path, for messages and reports."""
        return self.location.path

    def lines(self) -> Iterator[bytes]:
        """Yield the lines with their ends, from the start at every call, under a progress bar.

        Raises:
            DatasetError: The file is a 7z archive, or its compressed stream is damaged
                or ends too early.
        """
        rest = b""
        for block in self._blocks():
            lines = (rest + block).splitlines(keepends=True)
            rest = b"" if not lines or lines[-1].endswith(b"\n") else lines.pop()
            yield from lines
            if len(rest) > _LONGEST_LINE:
                yield rest
                rest = b""
        if rest:
            yield rest

    def _blocks(self) -> Iterator[bytes]:
        """The content, unpacked if the first bytes say that it is packed."""
        with ExitStack() as stack:
            file = stack.enter_context(self.location.filesystem.open(self.name, "rb"))
            bar = stack.enter_context(
                tqdm(
                    desc=PurePosixPath(self.name).name,
                    total=self.location.filesystem.size(self.name),
                    unit="B",
                    unit_scale=True,
                    disable=None,
                    delay=2,
                )
            )
            chunks = _chunks(file, bar)
            first = next(chunks, b"")
            if first.startswith(_SEVEN_ZIP):
                raise DatasetError(f"{self.name}: a 7z archive; unpack it first, with 7z x")
            packed = (start for start in _DECOMPRESSORS if first.startswith(start))
            kind = _DECOMPRESSORS.get(next(packed, b""))
            yield first if kind is None else b""
            yield from chunks if kind is None else self._unpacked(first, chunks, kind)

    def _unpacked(
        self, first: bytes, chunks: Iterator[bytes], kind: Callable[[], Any]
    ) -> Iterator[bytes]:
        """Streams one after the other, as `pigz`, `pbzip2` and `cat` make them."""
        stream, position = kind(), 0
        for chunk in chain([first], chunks):
            position += len(chunk)
            rest = chunk
            try:
                # Between streams, and after the last, there may be zero bytes.
                while rest := (rest.lstrip(b"\0") if stream.eof else rest):
                    stream = kind() if stream.eof else stream
                    yield stream.decompress(rest)
                    rest = stream.unused_data
            except (zlib.error, OSError) as error:
                raise DatasetError(
                    f"{self.name}: damaged compressed file ({error}) within the "
                    f"{len(chunk):,} bytes before byte {position:,}; fetch it again"
                ) from error
        if not stream.eof:
            raise DatasetError(
                f"{self.name}: ends in the middle of its compressed stream, at byte "
                f"{position:,}; fetch it again"
            )


def _chunks(file: Any, bar: tqdm[Any]) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK_BYTES):
        bar.update(len(chunk))
        yield chunk


class DumpFileDataset(FileDataset[bytes | Iterable[bytes], DumpFile]):
    """Hands a node `Posts.xml` or `PostLinks.xml` of a Stack Exchange data dump.

    The file may be plain or packed with gzip or bzip2: when the one named is missing,
    it is looked for with `.gz`, with `.bz2` and with neither.

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
            DatasetError: The file is missing, also under its other names.
        """
        existing = self._existing()
        if existing is not None:
            return DumpFile(existing)
        named = self._location
        others = named.alternatives(self.suffixes)
        tried = ", ".join(PurePosixPath(location.path).name for location in others)
        raise DatasetError(
            f"{named.path}: no such file, nor {tried} beside it; name the folder of the unpacked "
            "dump by --params faq_dump=FOLDER"
        )

    def save(self, data: bytes | Iterable[bytes]) -> None:
        """Write the lines of an XML file, packed as the name says, replacing it as a whole."""
        parts = [data] if isinstance(data, bytes) else data
        path = self._location.path
        with ExitStack() as stack:
            file = stack.enter_context(self._location.filesystem.open(path, "wb"))
            if path.endswith(".gz"):  # no time stamp and no name: same lines, same bytes
                file = stack.enter_context(gzip.GzipFile("", "wb", fileobj=file, mtime=0))
            elif path.endswith(".bz2"):
                file = stack.enter_context(bz2.BZ2File(file, "wb"))
            for part in parts:
                file.write(part)
