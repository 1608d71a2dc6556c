"""The code as Azure ML gets it: what `.amlignore` lets through, no more."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from kedro_cloud import compat

LIMIT_MB = 300
"""What Azure ML accepts of one code folder, in millions of bytes."""
_NAMED = 3
"""So many of the largest files are named when there is too much."""


@dataclass(frozen=True)
class Snapshot:
    """A folder of code.

    Attributes:
        folder: Where it lies.
        fingerprint: Azure ML's own hash of its files' names and contents.
        files: Number of files.
        size: Bytes of all files.
    """

    folder: Path
    fingerprint: str
    files: int
    size: int

    @classmethod
    def from_folder(cls, folder: Path) -> Snapshot:
        """A folder that holds just what was uploaded; no ignore file is obeyed any more."""
        sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
        return cls(folder, compat.content_hash(folder), len(sizes), sum(sizes))


def take_snapshot(project: Path, target: Path) -> Snapshot:
    """Copy into the folder `target`, made anew, what would be uploaded of a project.

    The Azure SDK's own code decides which files these are. Links are followed, as it does.

    Raises:
        ValueError: They are larger than Azure ML accepts, or there are none.
    """
    found = list(uploaded_files(project))
    sizes = {name: path.stat().st_size for path, name in found}
    check_size(sizes)
    if not found:
        raise ValueError(f"{project}: .amlignore lets no file through")
    shutil.rmtree(target, ignore_errors=True)
    for path, name in found:
        copy = target / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copy)
    return Snapshot.from_folder(target)


def uploaded_files(project: Path) -> Iterator[tuple[Path, str]]:
    """The files that the Azure SDK uploads of a folder, each with its name in the upload.

    As the SDK's `get_upload_files_from_folder`, but folders are left out as a whole where no file
    below can come through: it would look at each of the hundred thousand files of `.venv`.
    """
    project = project.resolve()
    ignore = compat.IgnoreFile(project)
    for root, folders, files in os.walk(project, followlinks=True):
        inside = Path(root).relative_to(project).as_posix()
        folders[:] = [
            name for name in folders if not _is_shut(str(PurePosixPath(inside, name)), ignore.rules)
        ]
        for path, name in ignore.uploaded(root, files, inside):
            yield Path(path), name


def _is_shut(folder: str, rules: list[tuple[Any, str]]) -> bool:
    """Whether surely no file below a folder comes through: a rule takes all, none gives back.

    Args:
        folder: Its path within the project.
        rules: The SDK's patterns, each with its line of the ignore file.
    """
    # Names that nobody means: what matches them matches everything there.
    below = (f"{folder}/\1\2\3\4", f"{folder}/\1\2\3\4/\1\2\3\4")
    shut = False
    for pattern, line in rules:
        if pattern.include is False:
            shut = shut and not _may_match_below(line, folder)
        elif pattern.include and all(pattern.match_file(name) for name in below):
            shut = True
    return shut


def _may_match_below(line: str, folder: str) -> bool:
    """Whether a line `!…` of an ignore file might give back a file below a folder."""
    first, slash, _ = line.removeprefix("!").strip().strip("/").partition("/")
    top = folder.partition("/")[0]
    return not slash or any(sign in first for sign in "*?[\\") or first == top


def check_size(sizes: dict[str, int]) -> None:
    """Raise if files are more than Azure ML accepts.

    Args:
        sizes: Bytes by name.

    Raises:
        ValueError: Names the largest.
    """
    total = sum(sizes.values())
    if total <= LIMIT_MB * 10**6:
        return
    largest = sorted(sizes, key=lambda name: sizes[name], reverse=True)[:_NAMED]
    named = ", ".join(f"{name} ({sizes[name] / 10**6:,.0f} MB)" for name in largest)
    raise ValueError(
        f"the code snapshot has {total / 10**6:,.0f} MB, Azure ML accepts {LIMIT_MB} MB; name in "
        f".amlignore what no step needs; the largest are {named}"
    )
