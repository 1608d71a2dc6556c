"""A picture that long work rewrites, for people to look at while it goes on."""

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
    """A picture's file that long work rewrites, for people to look at while it goes on."""

    location: Location

    def show(self, content: bytes) -> None:
        """Replace the picture by this file's content.

        Where it cannot be written the work goes on, with a warning: it is only for looking at.
        """
        try:
            self.location.write(content)
        except (OSError, DatasetError) as error:
            logger.warning("%s could not be rewritten: %s", self.location.path, error)


class LivePictureDataset(HandleDataset[LivePicture]):
    """Hands a node a `LivePicture`; only the node's work writes through it.

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
        """What the file shows now, for Kedro-Viz."""
        return ImagePreview(base64.b64encode(self._location.read()).decode())
