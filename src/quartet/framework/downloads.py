"""Download public files and verify their checksums."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import Annotated, Any, Self

import fsspec
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from tqdm import tqdm

from quartet.datasets.atomic import AtomicLocalFileSystem

logger = logging.getLogger(__name__)

_CHUNK_BYTES = 1 << 20

Checksum = Annotated[str, Field(pattern="^[0-9a-f]{8,64}$")]


class Download(BaseModel):
    """A set of files and the mirrors that serve them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: Path = Field(description="Local folder for the files.")
    mirrors: tuple[str, ...] = Field(
        min_length=1, description="URLs of folders that contain all files, tried in order."
    )
    sha256: dict[str, Checksum] = Field(
        description="SHA-256 checksum by name of the file on the mirrors: lower-case hexadecimal, "
        "64 digits, or at least the first eight where no more is published. Eight digits detect a "
        "damaged file, but not a forged one: validate its content when it is read."
    )
    kept_as: dict[str, str] = Field(
        {}, description="Local name, by name on the mirrors, of files that are renamed."
    )

    @field_validator("folder", mode="before")
    @classmethod
    def _on_this_machine(cls, folder: Any) -> Any:
        if "://" in str(folder):  # Path would create a local folder `abfs:`
            raise ValueError(
                "should be a local folder; fetch without -e, then upload the files as described in "
                "docs/azure.md"
            )
        return folder

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        if unknown := self.kept_as.keys() - self.sha256.keys():
            raise ValueError(
                f"kept_as names files without a checksum: {', '.join(unknown)}; add them to sha256"
            )
        return self


def fetch(download: Download) -> list[Path]:
    """Download the files that are missing or damaged; return the paths of all files.

    A file gets its name only once it is complete and its checksum is verified, so an interrupted
    download can be restarted.

    Raises:
        OSError: No mirror served a file with the expected checksum.
    """
    return [
        _fetch_file(
            name, checksum, download.mirrors, download.folder / download.kept_as.get(name, name)
        )
        for name, checksum in download.sha256.items()
    ]


def _fetch_file(name: str, checksum: str, mirrors: tuple[str, ...], target: Path) -> Path:
    if target.exists() and _sha256(target).startswith(checksum):
        logger.info("%s already exists", target)
        return target
    faults = []
    for mirror in mirrors:
        url = f"{mirror.rstrip('/')}/{name}"
        try:
            _copy(url, target, checksum)
        except _ChecksumError as error:
            faults.append(f"{url}: {error}")
        except Exception as error:  # any failure of one mirror leaves the next one to try
            faults.append(f"{url}: {type(error).__name__} {error}".strip())
        else:
            return target
    where = f"into {target.parent}" if target.name == name else f"as {target}"
    raise OSError(
        f"{name}: download failed ({'; '.join(faults)}); download it by hand and put it {where}"
    )


class _ChecksumError(Exception):
    """The content does not have the expected checksum."""


def _copy(url: str, target: Path, checksum: str) -> None:
    """Copy a URL to a file, which is replaced only by a complete and verified copy."""
    digest = hashlib.sha256()
    with (
        fsspec.open(url, "rb") as source,
        AtomicLocalFileSystem(auto_mkdir=True).open(str(target), "wb") as file,
        tqdm(
            total=getattr(source, "size", None),  # some servers send no length
            desc=target.name,
            unit="B",
            unit_scale=True,
            disable=None,
        ) as bar,
    ):
        for chunk in iter(lambda: source.read(_CHUNK_BYTES), b""):
            digest.update(chunk)
            file.write(chunk)
            bar.update(len(chunk))
        found = digest.hexdigest()
        if not found.startswith(checksum):
            raise _ChecksumError(f"checksum {found[:12]}…, expected {checksum[:12]}…")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
