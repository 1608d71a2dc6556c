"""Videos in a container of blob storage, and the markers of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from azure.core import MatchConditions
from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from fsspec.asyn import sync

from quartet.azure.watching.markers import FOLDER, Marker
from quartet.azure.watching.names import is_video
from quartet.azure.watching.places import Video

if TYPE_CHECKING:
    from quartet.azure.blobs import BlobFileSystem

_AT_ONCE = 32
"""Markers read at the same time."""


class Container:
    """A container, or a folder in it. Blobs appear in it when all of their blocks are there."""

    def __init__(
        self,
        filesystem: BlobFileSystem,
        path: str,
        suffixes: Sequence[str],
        markers: str,
        outputs: Sequence[str] = (),
    ) -> None:
        """Begin; nothing is asked yet.

        Args:
            filesystem: Of the storage account.
            path: Container, and perhaps a folder in it.
            suffixes: Of videos.
            markers: Container of the markers.
            outputs: Addresses below which results and intermediate files lie.
        """
        self.address = f"abfs://{path.strip('/')}"
        self._filesystem = filesystem
        self._container, _, folder = path.strip("/").partition("/")
        self._prefix = f"{folder}/" if folder else ""
        self._suffixes = suffixes
        self._outputs = tuple(f"{output.rstrip('/')}/" for output in outputs)
        self.markers = BlobMarkers(filesystem, markers, self._container)

    def require(self) -> None:
        """Raise StorageError unless both containers are there, and can be entered."""
        self._filesystem.require(self._container)
        self.markers.require()

    def videos(self) -> list[Video]:
        """All that are there, under their names in the container."""
        return sync(self._filesystem.loop, self._videos)

    async def _videos(self) -> list[Video]:
        async with self._filesystem.service_client.get_container_client(self._container) as client:
            return [
                Video(
                    blob.name,
                    f"abfs://{self._container}/{blob.name}",
                    blob.etag.strip('"'),
                    blob.size,
                    blob.last_modified.timestamp(),
                )
                async for blob in client.list_blobs(name_starts_with=self._prefix or None)
                if is_video(blob.name, self._suffixes) and not self._is_output(blob.name)
            ]

    def _is_output(self, name: str) -> bool:
        return f"abfs://{self._container}/{name}".startswith(self._outputs)

    def unready(self, video: Video, unchanged: bool) -> str | None:
        """Why a video has to wait; None if it is there as a whole."""
        # Whoever writes by the file system API of Data Lake Storage makes an empty file first.
        return None if video.size else "is empty so far"


class BlobMarkers:
    """Markers in a container, kept apart by the requests' own conditions."""

    def __init__(self, filesystem: BlobFileSystem, container: str, watched: str) -> None:
        """Begin.

        Args:
            filesystem: Of the storage account.
            container: Of the markers.
            watched: Container of the videos.
        """
        self._filesystem = filesystem
        self._container = container
        self._folder = f"{FOLDER}/{watched}/"

    def require(self) -> None:
        """Raise StorageError unless there is the container, and it can be entered."""
        self._filesystem.require(self._container)

    def tags(self) -> dict[str, str]:
        """Tag by name of video."""
        return sync(self._filesystem.loop, self._tags)

    async def _tags(self) -> dict[str, str]:
        async with self._filesystem.service_client.get_container_client(self._container) as client:
            return {
                blob.name[len(self._folder) : -len(".json")]: blob.etag.strip('"')
                async for blob in client.list_blobs(name_starts_with=self._folder)
                if blob.name.endswith(".json")
            }

    def read(self, names: Iterable[str]) -> dict[str, tuple[Marker | None, str]]:
        """Markers, None for those that cannot be read, and their tags; less those that are gone."""
        return sync(self._filesystem.loop, self._read, list(names))

    async def _read(self, names: list[str]) -> dict[str, tuple[Marker | None, str]]:
        gate = asyncio.Semaphore(_AT_ONCE)

        async def one(name: str) -> tuple[Marker | None, str] | None:
            async with gate, self._client(name) as client:
                try:
                    stream = await client.download_blob()
                    content = await stream.readall()
                except ResourceNotFoundError:
                    return None
                return Marker.read(content), stream.properties.etag.strip('"')

        found = await asyncio.gather(*(one(name) for name in names))
        return {name: each for name, each in zip(names, found, strict=True) if each is not None}

    def create(self, name: str, marker: Marker) -> str | None:
        """The new marker's tag; None if there is one already."""
        return self._put(name, marker, overwrite=False)

    def replace(self, name: str, marker: Marker, tag: str) -> str | None:
        """The new tag; None if the marker is no longer the one that has `tag`."""
        same = {"etag": f'"{tag}"', "match_condition": MatchConditions.IfNotModified}
        return self._put(name, marker, overwrite=True, **same)

    def _put(self, name: str, marker: Marker, **conditions: Any) -> str | None:
        put = self._upload(name, marker.write(), conditions)
        if put is not None:
            return put
        # An answer may have been lost on its way and the request sent again, which then meets what
        # the first one wrote.
        there, tag = self.read([name]).get(name, (None, ""))
        return tag if there is not None and there.write() == marker.write() else None

    def _upload(self, name: str, content: bytes, conditions: dict[str, Any]) -> str | None:
        async def upload() -> str | None:
            async with self._client(name) as client:
                try:
                    answer = await client.upload_blob(content, **conditions)
                except (ResourceExistsError, ResourceModifiedError, ResourceNotFoundError):
                    return None
                return str(answer["etag"]).strip('"')

        return sync(self._filesystem.loop, upload)

    def remove(self, name: str) -> bool:
        """Whether there was one."""

        async def delete() -> bool:
            async with self._client(name) as client:
                try:
                    await client.delete_blob()
                except ResourceNotFoundError:
                    return False
                return True

        return sync(self._filesystem.loop, delete)

    def address(self, name: str) -> str:
        """Where a marker is, for messages."""
        return f"abfs://{self._container}/{self._path(name)}"

    def _path(self, name: str) -> str:
        return f"{self._folder}{name}.json"

    def _client(self, name: str) -> Any:
        return self._filesystem.service_client.get_blob_client(self._container, self._path(name))
