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

    Made because the dataset of the same name in kedro-datasets-experimental
    hands the library a local file name and so cannot write to blob storage.

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
            raise DatasetError(f"{path}: no such file; run the node that makes it") from error
        except SafetensorError as error:
            raise DatasetError(f"{path}: not a whole safetensors file ({error})") from error

    def save(self, data: Arrays) -> None:
        """Write the arrays, replacing the file as a whole."""
        # The format stores the buffer as it lies in memory, so it must be in C order.
        content = save({name: np.ascontiguousarray(array) for name, array in data.items()})
        self._location.write(content)
