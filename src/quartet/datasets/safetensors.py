"""Named arrays in one file, without pickle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from kedro.io.core import DatasetError
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from quartet.datasets.file import FileDataset

Arrays = Mapping[str, NDArray[Any]]
_CHECKSUM = "sha256"


class SafetensorsDataset(FileDataset[Arrays, dict[str, NDArray[Any]]]):
    """Loads and saves a mapping of names to arrays as a safetensors file.

    The dataset of the same name in kedro-datasets-experimental cannot write to blob
    storage. The file contains a checksum, which is checked on loading.

    ```yaml
    convnet_weights:
      type: quartet.datasets.safetensors.SafetensorsDataset
      filepath: data/06_models/mnist/convnet.safetensors
    ```
    """

    def load(self) -> dict[str, NDArray[Any]]:
        """Return the arrays by name.

        Raises:
            DatasetError: The file is missing or damaged.
        """
        path = self._location.path
        try:
            arrays, _ = from_bytes(self._location.read())
        except FileNotFoundError as error:
            raise DatasetError(f"{path}: no such file; run the node that creates it") from error
        except SafetensorError as error:
            raise DatasetError(
                f"{path}: not a complete safetensors file ({error}); run the node that creates it"
            ) from error
        except ChecksumError as error:
            raise DatasetError(
                f"{path}: is damaged, its values are not those that were saved; run the node that "
                "creates it"
            ) from error
        return arrays

    def save(self, data: Arrays) -> None:
        """Write the arrays and their checksum."""
        self._location.write(to_bytes(data))


class ChecksumError(ValueError):
    """The content of a file is not what was saved."""


def to_bytes(arrays: Arrays, metadata: Mapping[str, str] | None = None) -> bytes:
    """Return the content of a safetensors file with a checksum of arrays and metadata."""
    # The library saves the memory buffer, which must be in C order.
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    facts = dict(metadata or {})
    return bytes(save(contiguous, {**facts, _CHECKSUM: _compute_checksum(contiguous, facts)}))


def from_bytes(content: bytes) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Return arrays and metadata of a safetensors file; earlier versions have no checksum.

    Raises:
        SafetensorError: The file is incomplete, or of another format.
        ChecksumError: The checksum is not that of the arrays and metadata.
    """
    arrays = load(content)
    length = int.from_bytes(content[:8], "little")
    metadata = dict(json.loads(content[8 : 8 + length]).get("__metadata__") or {})
    checksum = metadata.pop(_CHECKSUM, None)
    if checksum is not None and checksum != _compute_checksum(arrays, metadata):
        raise ChecksumError("its checksum is that of other values")
    return arrays, metadata


def _compute_checksum(arrays: Arrays, metadata: Mapping[str, str]) -> str:
    """Return the SHA-256 of arrays with their names, dtypes and shapes, and of metadata."""
    digest = hashlib.sha256(json.dumps(dict(metadata), sort_keys=True).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name}\n{array.dtype} {array.shape}\n".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
