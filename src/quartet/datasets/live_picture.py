"""Pictures that show the progress of a running node."""

from __future__ import annotations

import base64
import logging
from dataclasses import dataclass

from kedro.io.core import DatasetError

from quartet.compat import ImagePreview
from quartet.datasets.file import HandleDataset
from quartet.datasets.location import Location

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LivePicture:
    """A picture file that a node updates while it runs."""

    location: Location

    def show(self, content: bytes) -> None:
        """Replace the picture; a failure only logs a warning, as the node does not need it."""
        try:
            self.location.write(content)
        except (OSError, DatasetError) as error:
            logger.warning("%s could not be updated: %s", self.location.path, error)


class LivePictureDataset(HandleDataset[LivePicture]):
    """Provides a `LivePicture`, which the node itself writes to.

    ```yaml
    style_progress:
      type: quartet.datasets.live_picture.LivePictureDataset
      filepath: data/08_reporting/style_training/progress.png
    ```
    """

    def load(self) -> LivePicture:
        """Return the handle; the file need not exist yet."""
        return LivePicture(self._location)

    def preview(self) -> ImagePreview:
        """Return the current picture for Kedro-Viz."""
        return ImagePreview(base64.b64encode(self._location.read()).decode())
