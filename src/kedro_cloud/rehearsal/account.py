"""The storage account of a rehearsal: filled before, and read after."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

if TYPE_CHECKING:
    from azure.storage.blob import ContainerClient

SCHEME = "abfs://"
_SAMPLE = "kedro_cloud_sample"
"""Name of a blob's metadata that tells which sample it was uploaded from, by its MD5."""


@dataclass(frozen=True)
class BlobFolder:
    """A folder of a container; the container itself if `path` is empty."""

    container: str
    path: str

    @classmethod
    def parse(cls, address: str) -> BlobFolder:
        """From `abfs://container/path`, or the same without its scheme.

        Raises:
            ValueError: The container's name is none that storage takes.
        """
        container, _, path = address.removeprefix(SCHEME).strip("/").partition("/")
        plain = container.replace("-", "")
        if not (3 <= len(container) <= 63 and plain.isalnum() and container == container.lower()):
            raise ValueError(
                f"'{address}' is no place in blob storage: a container's name has 3 to 63 small "
                "letters, digits and hyphens, as in raw/images"
            )
        return cls(container, path.strip("/"))

    def __truediv__(self, inside: str) -> BlobFolder:
        return BlobFolder(self.container, f"{self.path}/{inside}".strip("/"))

    def __str__(self) -> str:
        return f"{SCHEME}{self.container}/{self.path}".rstrip("/")


@dataclass(frozen=True)
class Upload:
    """A folder or file here, and where its files go.

    Attributes:
        source: On this machine.
        target: In blob storage; a file keeps its name there.
        sample: Whether it only stands for data that is there already in a real account: then
            it never replaces what a step has written.
        pattern: Which files of the folder, for `Path.glob`.
    """

    source: Path
    target: BlobFolder
    sample: bool = False
    pattern: str = "**/*"

    @classmethod
    def parse(cls, text: str) -> Upload:
        """From `FOLDER=CONTAINER/PATH`.

        Raises:
            ValueError: It does not have this form, or there is no such folder or file.
        """
        source, equals, target = text.rpartition("=")
        if not equals or not source or not target:
            raise ValueError(f"--upload {text}: say FOLDER=CONTAINER/PATH")
        if not Path(source).exists():
            raise ValueError(f"--upload {text}: there is no folder or file {source}")
        return cls(Path(source).resolve(), BlobFolder.parse(target))

    def files(self) -> Iterator[tuple[Path, str]]:
        """Each file with its path below the target."""
        if self.source.is_file():
            yield self.source, self.source.name
        for path in sorted(self.source.glob(self.pattern)):
            inside = path.relative_to(self.source)
            if path.is_file() and not any(part.startswith(".") for part in inside.parts):
                yield path, inside.as_posix()


class Storage:
    """Reads and writes the blobs of one account."""

    def __init__(self, connection_string: str) -> None:
        """Of the account that the connection string names."""
        from azure.storage.blob import BlobServiceClient

        self._service = BlobServiceClient.from_connection_string(connection_string)

    def make_containers(self, names: Iterable[str]) -> None:
        """Make the containers that are not there yet."""
        from azure.core.exceptions import ResourceExistsError

        for name in sorted(set(names)):
            with suppress(ResourceExistsError):
                self._service.create_container(name)

    def upload(self, upload: Upload) -> tuple[int, int]:
        """Copy what is not there already; returns how many files and bytes were copied."""
        from azure.storage.blob import ContentSettings

        container = self._service.get_container_client(upload.target.container)
        there = _blobs(container, upload.target.path)
        copied = total = 0
        files = list(upload.files())
        with _progress(
            f"uploading to {upload.target}", [path.stat().st_size for path, _ in files]
        ) as bar:
            for path, inside in files:
                name = (upload.target / inside).path
                md5, size = _md5(path), path.stat().st_size
                if _is_needless(there.get(name), md5, upload.sample):
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

    def download(self, folder: BlobFolder, target: Path) -> int:
        """Copy all files of a folder into one here; returns how many there were."""
        container = self._service.get_container_client(folder.container)
        count = 0
        blobs = _blobs(container, folder.path)
        with _progress(f"fetching {folder}", [blob.size for blob in blobs.values()]) as bar:
            for name, blob in blobs.items():
                inside = name.removeprefix(f"{folder.path}/")
                path = target / inside
                if not path.resolve().is_relative_to(target.resolve()):
                    continue
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("wb") as file:
                    container.download_blob(name).readinto(file)
                bar.update(blob.size)
                count += 1
        return count


def _progress(desc: str, sizes: Iterable[int]) -> tqdm[Any]:
    return tqdm(
        total=sum(sizes), desc=desc, unit="B", unit_scale=True, disable=None, delay=2, leave=False
    )


def _blobs(container: ContainerClient, path: str) -> dict[str, Any]:
    """Properties of all blobs below a path, by name."""
    prefix = f"{path}/" if path else ""
    listed = container.list_blobs(name_starts_with=prefix, include=["metadata"])
    return {blob.name: blob for blob in listed if not (blob.metadata or {}).get("hdi_isfolder")}


def _is_needless(blob: Any, md5: bytes, sample: bool) -> bool:
    """Whether a file need not be copied over the blob of its name."""
    if blob is None:
        return False
    if sample:  # a step's own work has no such mark
        return (blob.metadata or {}).get(_SAMPLE) in (None, md5.hex())
    return bytes(blob.content_settings.content_md5 or b"") == md5


def _md5(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").digest()
