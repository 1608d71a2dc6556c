"""Upload to, and download from, the storage account of a rehearsal."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

if TYPE_CHECKING:
    from azure.storage.blob import ContainerClient

SCHEME = "abfs://"
_SAMPLE = "kedro_cloud_sample"
"""Metadata of a blob that was uploaded from a sample: the sample's MD5."""


def parse_folder(address: str) -> PurePosixPath:
    """Return container and path of an address, `abfs://container/path` or without its scheme.

    Raises:
        ValueError: The container's name is invalid.
    """
    folder = PurePosixPath(address.removeprefix(SCHEME).strip("/"))
    if not re.fullmatch(r"[a-z0-9-]{3,63}", folder.parts[0] if folder.parts else ""):
        raise ValueError(
            f"'{address}' is not an address in blob storage: a container's name has 3 to 63 "
            "lower-case letters, digits and hyphens, as in raw/images"
        )
    return folder


@dataclass(frozen=True)
class Upload:
    """A local folder or file, and the target of its files.

    Attributes:
        source: Local path.
        target: Container and folder in blob storage; a file keeps its name.
        sample: Whether it represents data that exist in a real account; then it never replaces
            what a step has written.
        pattern: Pattern of the folder's files, for `Path.glob`.
    """

    source: Path
    target: PurePosixPath
    sample: bool = False
    pattern: str = "**/*"

    @classmethod
    def parse(cls, text: str) -> Upload:
        """Parse `FOLDER=CONTAINER/PATH`.

        Raises:
            ValueError: The text has another form, or the folder or file does not exist.
        """
        source, equals, target = text.rpartition("=")
        if not equals or not source or not target:
            raise ValueError(f"--upload {text}: expected FOLDER=CONTAINER/PATH")
        if not Path(source).exists():
            raise ValueError(f"--upload {text}: {source} does not exist; check the path")
        return cls(Path(source).resolve(), parse_folder(target))

    def files(self) -> Iterator[tuple[Path, str]]:
        """Yield each file with its path relative to the target."""
        if self.source.is_file():
            yield self.source, self.source.name
        for path in sorted(self.source.glob(self.pattern)):
            inside = path.relative_to(self.source)
            if path.is_file() and not any(part.startswith(".") for part in inside.parts):
                yield path, inside.as_posix()


class Storage:
    """Client for the blobs of one account."""

    def __init__(self, connection_string: str) -> None:
        """Connect to the account of a connection string."""
        from azure.storage.blob import BlobServiceClient

        self._service = BlobServiceClient.from_connection_string(connection_string)

    def make_containers(self, names: Iterable[str]) -> None:
        """Create the containers that do not exist."""
        from azure.core.exceptions import ResourceExistsError

        for name in sorted(set(names)):
            with suppress(ResourceExistsError):
                self._service.create_container(name)

    def upload(self, upload: Upload) -> tuple[int, int]:
        """Upload missing and changed files; return the number of files and bytes uploaded."""
        from azure.storage.blob import ContentSettings

        container, prefix = self._open(upload.target)
        existing = _list_blobs(container, prefix)
        copied = total = 0
        files = list(upload.files())
        progress = tqdm(
            total=sum(path.stat().st_size for path, _ in files),
            desc=f"uploading to {SCHEME}{upload.target}",
            unit="B",
            unit_scale=True,
            disable=None,
            delay=2,
            leave=False,
        )
        with progress as bar:
            for path, inside in files:
                name = f"{prefix}{inside}"
                md5, size = _md5(path), path.stat().st_size
                if _is_up_to_date(existing.get(name), md5, upload.sample):
                    bar.update(size)
                    continue
                with path.open("rb") as content:
                    container.upload_blob(
                        name,
                        content,
                        overwrite=True,
                        metadata={_SAMPLE: md5.hex()} if upload.sample else {},
                        content_settings=ContentSettings(content_md5=bytearray(md5)),
                    )
                bar.update(size)
                copied, total = copied + 1, total + size
        return copied, total

    def download(self, folder: PurePosixPath, target: Path) -> int:
        """Download all files of a folder into a local one; return their number."""
        container, prefix = self._open(folder)
        # A name may contain "..", which must not lead out of the local folder.
        names = [n for n in _list_blobs(container, prefix) if ".." not in PurePosixPath(n).parts]
        for name in names:
            path = target / name.removeprefix(prefix)
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                container.download_blob(name).readinto(file)
        return len(names)

    def _open(self, folder: PurePosixPath) -> tuple[ContainerClient, str]:
        """Return the client of a folder's container, and the beginning of its blobs' names."""
        container, *inside = folder.parts
        prefix = "".join(f"{part}/" for part in inside)
        return self._service.get_container_client(container), prefix


def _list_blobs(container: ContainerClient, prefix: str) -> dict[str, Any]:
    """Return the properties of all blobs with a prefix, by name."""
    listed = container.list_blobs(name_starts_with=prefix, include=["metadata"])
    return {blob.name: blob for blob in listed if not (blob.metadata or {}).get("hdi_isfolder")}


def _is_up_to_date(blob: Any, md5: bytes, sample: bool) -> bool:
    """Return whether a file need not be uploaded, given the existing blob."""
    if blob is None:
        return False
    if sample:  # blobs without the metadata were written by a step
        return (blob.metadata or {}).get(_SAMPLE) in (None, md5.hex())
    return bytes(blob.content_settings.content_md5 or b"") == md5


def _md5(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").digest()
