"""What became of a video, written where all who watch can see it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Protocol

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, ValidationError

FOLDER = ".started"
"""Of markers, in the container or folder that they are in."""


class State(StrEnum):
    """What became of a video."""

    STARTED = "started"
    DONE = "done"
    FAILED = "failed"
    POISON = "poison"
    STOPPED = "stopped"


Moment = Annotated[
    datetime, PlainSerializer(lambda moment: moment.strftime("%Y-%m-%dT%H:%M:%SZ"), str)
]
"""In UTC; written to the second, as Logic Apps and people write it."""


class Marker(BaseModel):
    """The fields of a marker; what each means stands in the room's description."""

    model_config = ConfigDict(frozen=True, extra="allow")

    video: str
    state: State
    attempts: int = Field(default=0, ge=0)
    by: str
    since: Moment
    until: Moment | None = None
    job: str | None = None
    reason: str | None = None
    version: str | None = None
    interruptions: int = Field(default=0, ge=0)
    series: str | None = None

    @classmethod
    def read(cls, content: bytes) -> Marker | None:
        """From a marker's content; None if it is none."""
        try:
            marker = cls.model_validate_json(content)
        except ValidationError:
            return None
        moments = {
            name: value.replace(tzinfo=UTC)
            for name in ("since", "until")
            if (value := getattr(marker, name)) is not None and value.tzinfo is None
        }
        return marker.model_copy(update=moments)

    def write(self) -> bytes:
        """A marker's content."""
        return self.model_dump_json(indent=1).encode()

    def but(self, **changes: Any) -> Marker:
        """The same with other fields."""
        return self.model_copy(update=changes)


class Markers(Protocol):
    """Markers of the videos of a place. A tag stands for what a marker says at a time."""

    def tags(self) -> dict[str, str]:
        """Tag by name of video."""
        ...

    def read(self, names: Iterable[str]) -> dict[str, tuple[Marker | None, str]]:
        """Markers, None for those that cannot be read, and their tags; less those that are gone."""
        ...

    def create(self, name: str, marker: Marker) -> str | None:
        """The new marker's tag; None if there is one already."""
        ...

    def replace(self, name: str, marker: Marker, tag: str) -> str | None:
        """The new tag; None if the marker is no longer the one that has `tag`."""
        ...

    def remove(self, name: str) -> bool:
        """Whether there was one."""
        ...

    def address(self, name: str) -> str:
        """Where a marker is, for messages."""
        ...
