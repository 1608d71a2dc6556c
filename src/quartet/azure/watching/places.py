"""Where videos arrive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from quartet.azure.watching.markers import Markers


@dataclass(frozen=True)
class Video:
    """A video as it was found.

    Attributes:
        name: With the folders above it, as seen from the container or the watched folder.
        address: What `style_transfer` takes: a URL or a path.
        version: Another if the content is another.
        size: In bytes.
        arrived: When it was last written, in seconds since 1970.
    """

    name: str
    address: str
    version: str
    size: int
    arrived: float


class Place(Protocol):
    """A container or a folder that videos arrive in, with its markers."""

    address: str

    @property
    def markers(self) -> Markers:
        """Of the videos of this place."""
        ...

    def require(self) -> None:
        """Raise, in one line, unless the place can be watched."""
        ...

    def videos(self) -> list[Video]:
        """All that are there; no outputs, nothing hidden."""
        ...

    def unready(self, video: Video, unchanged: bool) -> str | None:
        """Why a video has to wait; None if it is there as a whole.

        Args:
            video: As it is now.
            unchanged: Whether it has been so from one look to another.
        """
        ...
