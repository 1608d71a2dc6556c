"""The IDX array format, in which MNIST is published."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from typing import Any

import numpy as np
from kedro.io.core import DatasetError
from numpy.typing import NDArray

from quartet.datasets.file import FileDataset
from quartet.datasets.location import Location

_GZIP_MAGIC = b"\x1f\x8b"
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
    compression; compressed files are loaded whatever their name. If `NAME.gz` is
    missing, `NAME` is loaded, and vice versa.

    ```yaml
    mnist_train_images:
      type: quartet.datasets.idx.IDXDataset
      filepath: data/01_raw/mnist/train-images-idx3-ubyte.gz
      dtype: uint8
      shape: [null, 28, 28]
    ```
    """

    suffixes = (".gz",)

    def __init__(
        self,
        *,
        filepath: str,
        dtype: str | None = None,
        shape: list[int | None] | None = None,
        **options: Any,
    ) -> None:
        """Configure the dataset.

        Args:
            filepath: Local path or any fsspec URL.
            dtype: Expected dtype; any by default.
            shape: Expected shape, with null for any length.
            options: `credentials`, `fs_args` and `metadata`, as for any file.
        """
        super().__init__(filepath=filepath, **options)
        self._dtype = np.dtype(dtype) if dtype else None
        self._shape = tuple(shape) if shape else None

    def load(self) -> NDArray[Any]:
        """Return the array in native byte order.

        Raises:
            DatasetError: The file is missing, truncated, too long, not IDX, or
                not of the expected dtype and shape.
        """
        location = self._find()
        if location is None:
            path = self._location.path
            raise DatasetError(f"{path}: no such file; set the folder that contains it")
        array = self._parse(_read_decompressed(location), location.path)
        self._check(array, location.path)
        return array

    def save(self, data: NDArray[Any]) -> None:
        """Write the array.

        Raises:
            DatasetError: IDX does not support the dtype, or dtype or shape are not the
                expected ones.
        """
        path = self._location.path
        dtype = data.dtype.newbyteorder("=")
        if dtype not in _CODES:
            supported = ", ".join(map(str, _CODES))
            raise DatasetError(
                f"{path}: IDX does not support dtype {data.dtype}; convert to one of {supported}"
            )
        self._check(data, path)
        code = _CODES[dtype]
        header = struct.pack(f">BBBB{data.ndim}I", 0, 0, code, data.ndim, *data.shape)
        content = header + np.ascontiguousarray(data, dtype=_DTYPES[code]).tobytes()
        if path.endswith(".gz"):
            content = gzip.compress(content, mtime=0)  # without time stamp, bytes are reproducible
        self._location.write(content)

    def _parse(self, content: bytes, path: str) -> NDArray[Any]:
        dimensions = content[3] if len(content) > 3 else 0
        offset = 4 + 4 * dimensions
        if content[:2] != b"\0\0" or dimensions == 0 or len(content) < offset:
            raise DatasetError(
                f"{path}: not an IDX file: expected two zero bytes, a type code and the number of "
                f"dimensions, found {content[:4].hex(' ') or 'nothing'}; download it again"
            )
        if content[2] not in _DTYPES:
            codes = ", ".join(f"{code:#04x}" for code in _DTYPES)
            raise DatasetError(
                f"{path}: IDX type code is {content[2]:#04x}, expected one of {codes}; "
                "download it again"
            )
        dtype = _DTYPES[content[2]]
        shape = struct.unpack(f">{dimensions}I", content[4:offset])
        expected, found = math.prod(shape) * dtype.itemsize, len(content) - offset
        if expected != found:
            problem = "truncated" if found < expected else "longer than its header says"
            raise DatasetError(
                f"{path}: {problem}: {shape} {dtype.newbyteorder('=')} values need {expected} "
                f"bytes, found {found}; download it again"
            )
        array = np.frombuffer(content, dtype, offset=offset).reshape(shape)
        return array.astype(dtype.newbyteorder("="))  # a writable copy

    def _check(self, array: NDArray[Any], path: str) -> None:
        if self._dtype is not None and array.dtype != self._dtype:
            raise DatasetError(
                f"{path}: expected {self._dtype} values, found {array.dtype}; convert the file"
            )
        if self._shape is not None and not _matches(array.shape, self._shape):
            expected = " x ".join("n" if length is None else str(length) for length in self._shape)
            found = " x ".join(map(str, array.shape))
            hint = (
                "resize the images"
                if array.ndim == len(self._shape)
                else "have the images and labels files been swapped?"
            )
            raise DatasetError(f"{path}: expected an array of {expected}, found {found}; {hint}")

    def _describe(self) -> dict[str, Any]:
        return {**super()._describe(), "dtype": self._dtype, "shape": self._shape}


def _read_decompressed(location: Location) -> bytes:
    content = location.read()
    if not content.startswith(_GZIP_MAGIC):
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DatasetError(
            f"{location.path}: gzip file of {len(content)} bytes is damaged ({error}); "
            "download it again"
        ) from error


def _matches(shape: tuple[int, ...], expected: tuple[int | None, ...]) -> bool:
    return len(shape) == len(expected) and all(
        length is None or length == found for found, length in zip(shape, expected, strict=True)
    )
