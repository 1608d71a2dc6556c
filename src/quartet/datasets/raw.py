"""Files as bytes."""

from __future__ import annotations

import base64

from quartet.compat import ImagePreview
from quartet.datasets.file import FileDataset


class BytesDataset(FileDataset[bytes, bytes]):
    """Loads and saves a file as bytes; in a PartitionedDataset, a folder of files.

    ```yaml
    sensor_sample_captures:
      type: partitions.PartitionedDataset
      path: data/01_raw/sensors/captures
      dataset: quartet.datasets.raw.BytesDataset
      filename_suffix: .avro
    ```
    """

    def load(self) -> bytes:
        """Return the content of the file."""
        return self._location.read()

    def save(self, data: bytes) -> None:
        """Replace the content of the file."""
        self._location.write(data)


class ImageBytesDataset(BytesDataset):
    """Loads and saves an image or animation as bytes, with a preview in Kedro-Viz.

    ```yaml
    style_preview:
      type: quartet.datasets.raw.ImageBytesDataset
      filepath: data/08_reporting/style_transfer/preview.webp
    ```
    """

    def preview(self) -> ImagePreview:
        """Return the image for Kedro-Viz, in base64."""
        return ImagePreview(base64.b64encode(self.load()).decode())
