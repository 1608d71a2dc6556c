"""Named arrays in one file, without pickle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from kedro.io.core import DatasetError
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from quartet.datasets.file import FileDataset

Arrays = Mapping[str, NDArray[Any]]


class SafetensorsDataset(FileDataset[Arrays, dict[str, NDArray[Any]]]):
    """Loads and saves a mapping of names to arrays as a safetensors file.

    The dataset of the same name in kedro-datasets-experimental cannot write to blob
    storage.

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
            return load(self._location.read())
        except FileNotFoundError as error:
            raise DatasetError(f"{path}: no such file; run the node that creates it") from error
        except SafetensorError as error:
            raise DatasetError(
                f"{path}: not a complete safetensors file ({error}); run the node that creates it"
            ) from error

    def save(self, data: Arrays) -> None:
        """Write the arrays."""
        # The library saves the memory buffer, which must be in C order.
        content = save({name: np.ascontiguousarray(array) for name, array in data.items()})
        self._location.write(content)
