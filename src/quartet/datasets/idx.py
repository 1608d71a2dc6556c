"""The IDX array format, in which MNIST is published."""

from __future__ import annotations

import gzip
import math
import re
import struct
from dataclasses import replace
from pathlib import PurePosixPath
from typing import IO, Any

import numpy as np
from kedro.io.core import DatasetError
from numpy.typing import NDArray

from quartet.datasets.compression import check_expansion, open_decompressed
from quartet.datasets.file import FileDataset
from quartet.datasets.location import Location

_SEPARATOR = re.compile(r"[.-](idx\d+-[^/]*)$")
"""The end of a name, such as `-idx3-ubyte`, before which a dot or a dash is in use."""
_MAX_DIMENSIONS = 32
"""Dimensions of an array that every version of NumPy supports."""
_CHUNK_BYTES = 1024 * 1024
_DTYPES: dict[int, np.dtype[Any]] = {
    0x08: np.dtype(np.uint8),
    0x09: np.dtype(np.int8),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}
_CODES = {dtype.newbyteorder("="): code for code, dtype in _DTYPES.items()}


class IDXDataset(FileDataset[NDArray[Any], NDArray[Any]]):
    """Loads and saves an n-dimensional array as an IDX file.

    A file consists of two zero bytes, a type code, the number of dimensions, each
    dimension as a big-endian 32-bit integer, and the big-endian values in C order
    (http://yann.lecun.com/exdb/mnist). Files ending in `.gz` are saved with gzip
    compression; compressed files are loaded whatever their name. A missing file is looked for
    under the other names in use: with and without `.gz`, with a dot or a dash before `idx3`, and
    in a folder of its name, into which some programs extract it.

    ```yaml
    mnist_train_images:
      type: quartet.datasets.idx.IDXDataset
      filepath: data/01_raw/mnist/train-images-idx3-ubyte.gz
      dtype: uint8
    ```
    """

    suffixes = (".gz",)

    def __init__(self, *, filepath: str, dtype: str | None = None, **options: Any) -> None:
        """Configure the dataset.

        Args:
            filepath: Local path or any fsspec URL.
            dtype: Expected dtype; any by default.
            options: `credentials`, `fs_args` and `metadata`, as for any file.
        """
        super().__init__(filepath=filepath, **options)
        self._dtype = np.dtype(dtype) if dtype else None

    def load(self) -> NDArray[Any]:
        """Return the array in native byte order.

        Raises:
            DatasetError: The file is missing, truncated, too long, not IDX, or of another dtype.
        """
        location = self._find()
        if location is None:
            path, *others = (candidate.path for candidate in self._list_candidates())
            tried = {PurePosixPath(other).name for other in others} - {PurePosixPath(path).name}
            names = ", ".join(sorted(tried))
            raise DatasetError(
                f"{path}: no such file, nor {names} beside it; set the folder that contains it"
            )
        path, size = location.path, location.filesystem.size(location.path)
        with location.filesystem.open(path, "rb") as file:
            return self._parse(open_decompressed(file, size, path), size, path)

    def _find(self) -> Location | None:
        """Return the location of the file; unlike others, it may be in a folder of its name."""
        files = (each for each in self._list_candidates() if each.filesystem.isfile(each.path))
        return next(files, None)

    def _list_candidates(self) -> list[Location]:
        """Return the locations at which the file may be, the configured one first."""
        paths = [location.path for location in super()._list_candidates()]
        paths += [
            _SEPARATOR.sub(rf"{separator}\1", path) for path in paths for separator in (".", "-")
        ]
        paths += [f"{path}/{PurePosixPath(path).name}" for path in paths]
        return [replace(self._location, path=path) for path in dict.fromkeys(paths)]

    def save(self, data: NDArray[Any]) -> None:
        """Write the array.

        Raises:
            DatasetError: IDX does not support the dtype, or it is not the expected one.
        """
        path = self._location.path
        dtype = data.dtype.newbyteorder("=")
        if dtype not in _CODES:
            supported = ", ".join(map(str, _CODES))
            raise DatasetError(
                f"{path}: IDX does not support dtype {data.dtype}; convert to one of {supported}"
            )
        self._check_dtype(data.dtype, path)
        code = _CODES[dtype]
        header = struct.pack(f">BBBB{data.ndim}I", 0, 0, code, data.ndim, *data.shape)
        content = header + np.ascontiguousarray(data, dtype=_DTYPES[code]).tobytes()
        if path.endswith(".gz"):
            content = gzip.compress(content, mtime=0)  # without time stamp, bytes are reproducible
        self._location.write(content)

    def _parse(self, file: IO[bytes], size: int | None, path: str) -> NDArray[Any]:
        """Return the array, of which nothing is read before the header is checked."""
        dtype, shape = self._parse_header(file, path)
        self._check_dtype(dtype.newbyteorder("="), path)
        expected = math.prod(shape) * dtype.itemsize
        check_expansion(path, size, expected)
        content = file.read(expected)
        found = len(content)
        while rest := file.read(_CHUNK_BYTES):
            found += len(rest)
        if expected != found:
            problem = "truncated" if found < expected else "longer than its header says"
            raise DatasetError(
                f"{path}: {problem}: {shape} {dtype.newbyteorder('=')} values need {expected} "
                f"bytes, found {found}; download it again"
            )
        array = np.frombuffer(content, dtype).reshape(shape)
        return array.astype(dtype.newbyteorder("="))  # a writable copy

    def _parse_header(self, file: IO[bytes], path: str) -> tuple[np.dtype[Any], tuple[int, ...]]:
        """Return the dtype of the file's values, and the shape."""
        start = file.read(4)
        dimensions = start[3] if len(start) == 4 else 0
        lengths = file.read(4 * dimensions)
        if (
            start[:2] != b"\0\0"
            or not 0 < dimensions <= _MAX_DIMENSIONS
            or len(lengths) < 4 * dimensions
        ):
            raise DatasetError(
                f"{path}: not an IDX file: expected two zero bytes, a type code and the number of "
                f"dimensions, found {start.hex(' ') or 'nothing'}; download it again"
            )
        if start[2] not in _DTYPES:
            codes = ", ".join(f"{code:#04x}" for code in _DTYPES)
            raise DatasetError(
                f"{path}: IDX type code is {start[2]:#04x}, expected one of {codes}; "
                "download it again"
            )
        return _DTYPES[start[2]], struct.unpack(f">{dimensions}I", lengths)

    def _check_dtype(self, dtype: np.dtype[Any], path: str) -> None:
        if self._dtype is not None and dtype != self._dtype:
            raise DatasetError(
                f"{path}: expected {self._dtype} values, found {dtype}; convert the file"
            )
