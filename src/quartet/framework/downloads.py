"""Fetching public files, checked against known checksums."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
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
    """A set of files that belong together, and where they can be had."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: Path = Field(description="Where the files go, on this machine.")
    mirrors: tuple[str, ...] = Field(
        min_length=1, description="URLs of folders that hold all files, tried in order."
    )
    sha256: dict[str, Checksum] = Field(
        description="Checksum of each file, by the name that it has at the mirrors: lower-case "
        "hexadecimal, all 64 digits or at least the first eight, where no more is published. Eight "
        "tell a damaged file, but not one that was forged: check what is in it when it is read."
    )
    kept_as: dict[str, str] = Field(
        {}, description="Name in the folder of each file that is kept under another one, by name."
    )

    @field_validator("folder", mode="before")
    @classmethod
    def _on_this_machine(cls, folder: Any) -> Any:
        if "://" in str(folder):  # of which a path would make a folder `abfs:` here
            raise ValueError(
                "should be a folder of this machine; fetch without -e, and upload what comes as "
                "docs/azure.md says"
            )
        return folder

    @model_validator(mode="after")
    def _known(self) -> Self:
        if unknown := self.kept_as.keys() - self.sha256.keys():
            raise ValueError(f"kept_as names files without a checksum: {', '.join(unknown)}")
        return self


def fetch(download: Download) -> list[Path]:
    """Fetch what is not there yet; return the paths of all files.

    A file appears under its name only when it is whole and its checksum is
    right, so a stopped fetch is simply started again.

    Raises:
        OSError: No mirror delivered a file with the right checksum.
    """
    return [
        _fetch_file(
            name, checksum, download.mirrors, download.folder / download.kept_as.get(name, name)
        )
        for name, checksum in download.sha256.items()
    ]


def _fetch_file(name: str, checksum: str, mirrors: tuple[str, ...], target: Path) -> Path:
    if target.exists() and _sha256(target).startswith(checksum):
        logger.info("%s: already there", target)
        return target
    faults = []
    for mirror in mirrors:
        url = f"{mirror.rstrip('/')}/{name}"
        try:
            _copy(url, target, checksum)
        except _OtherChecksumError as error:
            faults.append(f"{url}: {error}")
        except Exception as error:  # whatever a mirror does wrong, the next may do right
            faults.append(f"{url}: {type(error).__name__} {error}".strip())
        else:
            return target
    where = f"put it into {target.parent}" if target.name == name else f"put it there as {target}"
    raise OSError(f"{name} could not be fetched ({'; '.join(faults)}); {where}")


class _OtherChecksumError(Exception):
    """What came is not what was expected."""


def _copy(url: str, target: Path, checksum: str) -> None:
    """Copy a URL to a file, which stays as it was unless all of it has come, and rightly."""
    digest = hashlib.sha256()
    with (
        fsspec.open(url, "rb") as source,
        AtomicLocalFileSystem(auto_mkdir=True).open(str(target), "wb") as file,
        tqdm(
            total=getattr(source, "size", None),  # not every server says
            desc=target.name,
            unit="B",
            unit_scale=True,
            disable=None,
        ) as bar,
    ):
        for chunk in _chunks(source):
            digest.update(chunk)
            file.write(chunk)
            bar.update(len(chunk))
        found = digest.hexdigest()
        if not found.startswith(checksum):
            raise _OtherChecksumError(f"checksum {found[:12]}…, expected {checksum[:12]}…")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _chunks(source: fsspec.core.OpenFile) -> Iterator[bytes]:
    while chunk := source.read(_CHUNK_BYTES):
        yield chunk
