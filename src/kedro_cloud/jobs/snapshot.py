"""Copy the code that Azure ML would upload: all files that `.amlignore` does not exclude."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from kedro_cloud import compat

LIMIT_MB = 300
"""Azure ML's limit for a code snapshot, in 10**6 bytes."""
_NAMED = 3
"""Number of largest files that the error message names."""


@dataclass(frozen=True)
class Snapshot:
    """A folder of code.

    Attributes:
        folder: Path of the folder.
        fingerprint: Azure ML's hash of the names and contents of its files.
        files: Number of files.
        size: Size of all files, in bytes.
    """

    folder: Path
    fingerprint: str
    files: int
    size: int

    @classmethod
    def from_folder(cls, folder: Path) -> Snapshot:
        """Return the snapshot of a folder that contains only uploaded files."""
        sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
        return cls(folder, compat.content_hash(folder), len(sizes), sum(sizes))


def take_snapshot(project: Path, target: Path) -> Snapshot:
    """Replace a folder by a copy of the files that Azure ML would upload.

    The Azure SDK selects the files. Symbolic links are followed, as in the SDK.

    Raises:
        ValueError: The files exceed Azure ML's limit, or `.amlignore` excludes all files.
    """
    found = list(uploaded_files(project))
    check_size(found)
    if not found:
        raise ValueError(f"{project}: .amlignore excludes all files; change it")
    shutil.rmtree(target, ignore_errors=True)
    for path, name in found:
        copy = target / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copy)
    return Snapshot.from_folder(target)


def uploaded_files(project: Path) -> Iterator[tuple[Path, str]]:
    """Yield the files that the Azure SDK uploads from a folder, with their names in the upload.

    Like the SDK's `get_upload_files_from_folder`, but folders in which all files are excluded are
    skipped: the SDK would match each of the 100,000 files in `.venv`.
    """
    project = project.resolve()
    ignore = compat.IgnoreFile(project)
    for root, folders, files in os.walk(project, followlinks=True):
        inside = Path(root).relative_to(project).as_posix()
        folders[:] = [
            name
            for name in folders
            if not _is_excluded(str(PurePosixPath(inside, name)), ignore.rules)
        ]
        for path, name in ignore.uploaded(root, files, inside):
            yield Path(path), name


def _is_excluded(folder: str, rules: list[tuple[Any, str]]) -> bool:
    """Return whether the rules certainly exclude all files in a folder.

    Args:
        folder: Path relative to the project.
        rules: The SDK's patterns, each with its line of the ignore file.
    """
    # A pattern that matches these improbable names matches every name.
    below = (f"{folder}/\1\2\3\4", f"{folder}/\1\2\3\4/\1\2\3\4")
    excluded = False
    for pattern, line in rules:
        if pattern.include is False:
            excluded = excluded and not _may_match_below(line, folder)
        elif pattern.include and all(pattern.match_file(name) for name in below):
            excluded = True
    return excluded


def _may_match_below(line: str, folder: str) -> bool:
    """Return whether a line `!…` of an ignore file may include a file in a folder again."""
    first, slash, _ = line.removeprefix("!").strip().strip("/").partition("/")
    top = folder.partition("/")[0]
    return not slash or any(sign in first for sign in "*?[\\") or first == top


def check_size(files: Iterable[tuple[Path, str]]) -> None:
    """Check that files, from `uploaded_files`, do not exceed Azure ML's limit.

    Raises:
        ValueError: They do; the message names the largest files.
    """
    sizes = {name: path.stat().st_size for path, name in files}
    total = sum(sizes.values())
    if total <= LIMIT_MB * 10**6:
        return
    largest = sorted(sizes, key=lambda name: sizes[name], reverse=True)[:_NAMED]
    named = ", ".join(f"{name} ({sizes[name] / 10**6:,.0f} MB)" for name in largest)
    raise ValueError(
        f"the code snapshot has {total / 10**6:,.0f} MB, Azure ML accepts {LIMIT_MB} MB; add files "
        f"that no step needs to .amlignore; the largest are {named}"
    )
