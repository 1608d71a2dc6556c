"""A file as it is, byte for byte."""

from __future__ import annotations

import base64

from quartet.compat import ImagePreview
from quartet.datasets.file import FileDataset


class BytesDataset(FileDataset[bytes, bytes]):
    """Loads and saves the content of one file; in a PartitionedDataset, of a folder of files.

    ```yaml
    sensor_sample_captures:
      type: partitions.PartitionedDataset
      path: data/01_raw/sensors/captures
      dataset: quartet.datasets.raw.BytesDataset
      filename_suffix: .avro
    ```
    """

    def load(self) -> bytes:
        """Return the content."""
        return self._location.read()

    def save(self, data: bytes) -> None:
        """Write the content, replacing the file as a whole."""
        self._location.write(data)


class ImageBytesDataset(BytesDataset):
    """The same for an image as a browser shows it, still or moving; Kedro-Viz shows it, too.

    ```yaml
    style_preview:
      type: quartet.datasets.raw.ImageBytesDataset
      filepath: data/08_reporting/style_transfer/preview.webp
    ```
    """

    def preview(self) -> ImagePreview:
        """The image in base64."""
        return ImagePreview(base64.b64encode(self.load()).decode())
