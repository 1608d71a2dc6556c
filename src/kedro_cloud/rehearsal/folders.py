"""Mount the output folders of steps as read-only inputs of later steps, and detect changes."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path

_WRITE_BITS = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH
_MAX_LISTED = 3
"""Maximum number of changed files in a message."""

Contents = Mapping[str, tuple[int, int]]
"""Size in bytes and modification time in ns, by relative path; (-1, 0) for a folder."""


def mount(source: Path, target: Path) -> Contents:
    """Create a read-only folder with hard links to the files of another; return its contents.

    A hard link and its file have the same permissions, so the source's files become read-only, too.
    Files are copied if the file system does not support hard links. Empty folders are skipped,
    as in blob storage.
    """
    target.mkdir(parents=True)
    for path in sorted(source.rglob("*")):
        if path.is_file():
            link = target / path.relative_to(source)
            link.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(path, link)
            except OSError:
                shutil.copy2(path, link)
    for path in (target, *target.rglob("*")):
        path.chmod(path.stat().st_mode & ~_WRITE_BITS)
    return list_contents(target)


def list_contents(folder: Path) -> Contents:
    """Return the contents of a folder, for a later comparison."""
    return {
        path.relative_to(folder).as_posix(): (
            (-1, 0) if path.is_dir() else (path.lstat().st_size, path.lstat().st_mtime_ns)
        )
        for path in folder.rglob("*")
    }


def format_changes(before: Contents, after: Contents) -> str:
    """Return the first differences and the number of others as text; empty if there are none."""
    texts = [f"{path} was deleted" for path in sorted(before.keys() - after.keys())]
    texts += [f"{path} was created" for path in sorted(after.keys() - before.keys())]
    common = sorted(before.keys() & after.keys())
    texts += [f"{path} was changed" for path in common if before[path] != after[path]]
    others = f" and {len(texts) - _MAX_LISTED} more" if len(texts) > _MAX_LISTED else ""
    return ", ".join(texts[:_MAX_LISTED]) + others


def measure_folder(folder: Path) -> int:
    """Return the total size of all files in a folder, in bytes."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def remove_path(path: Path) -> None:
    """Remove a file or folder, even if it is read-only; do nothing if it does not exist."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.is_dir():
        path.chmod(stat.S_IRWXU)
        for root, folders, _ in os.walk(path):
            for folder in (Path(root, name) for name in folders):
                if not folder.is_symlink():
                    folder.chmod(stat.S_IRWXU)
        shutil.rmtree(path)
