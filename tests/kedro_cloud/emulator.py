"""An emulated storage account, and the file system of its blobs."""

from __future__ import annotations

import re
from dataclasses import dataclass

from kedro_cloud.blobs.file_system import BlobFileSystem


@dataclass(frozen=True)
class Azurite:
    """An emulator that `kedro_cloud.blobs.azurite.running` started."""

    connection_string: str

    @property
    def port(self) -> int:
        """Return its port on 127.0.0.1."""
        return int(re.findall(r"127\.0\.0\.1:(\d+)/", self.connection_string)[0])

    def filesystem(self) -> BlobFileSystem:
        """Return the file system of its blobs, as the project's datasets use it."""
        return BlobFileSystem(connection_string=self.connection_string)

    def make_containers(self, *names: str) -> None:
        """Create containers; a name has at least three characters."""
        for name in names:
            self.filesystem().mkdir(name)
