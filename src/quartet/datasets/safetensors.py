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
            content = self._location.read()
            arrays: dict[str, NDArray[Any]] = load(content)
        except FileNotFoundError as error:
            raise DatasetError(f"{path}: no such file; run the node that creates it") from error
        except SafetensorError as error:
            raise DatasetError(
                f"{path}: not a complete safetensors file ({error}); run the node that creates it"
            ) from error
        if _read_checksum(content) not in (None, _compute_checksum(arrays)):
            raise DatasetError(
                f"{path}: is damaged, its values are not those that were saved; run the node that "
                "creates it"
            )
        return arrays

    def save(self, data: Arrays) -> None:
        """Write the arrays and their checksum."""
        # The library saves the memory buffer, which must be in C order.
        arrays = {name: np.ascontiguousarray(array) for name, array in data.items()}
        self._location.write(save(arrays, {_CHECKSUM: _compute_checksum(arrays)}))


def _compute_checksum(arrays: Arrays) -> str:
    """Return the SHA-256 of the arrays with their names, dtypes and shapes."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name}\n{array.dtype} {array.shape}\n".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _read_checksum(content: bytes) -> str | None:
    """Return the checksum in the header of a safetensors file; earlier versions wrote none."""
    length = int.from_bytes(content[:8], "little")
    metadata = json.loads(content[8 : 8 + length]).get("__metadata__") or {}
    checksum: str | None = metadata.get(_CHECKSUM)
    return checksum
