"""Folders that pass between steps: read only for those that read them, and checked to be so."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path

_WRITE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH
_NAMED = 3
"""So many of the changed files are named."""

Contents = Mapping[str, tuple[int, int]]
"""By path within a folder: bytes, and time of the last change in nanoseconds; (-1, 0): a folder."""


def mount(source: Path, target: Path) -> Contents:
    """Show the files of one folder in another that cannot be written, and tell what it holds.

    The files are the same ones, linked; they are copied where the file system has no links. As on
    blob storage, empty folders are not passed on.
    """
    target.mkdir(parents=True)
    for path in sorted(source.rglob("*")):
        if path.is_file():
            shown = target / path.relative_to(source)
            shown.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(path, shown)
            except OSError:
                shutil.copy2(path, shown)
    for path in (target, *target.rglob("*")):
        path.chmod(path.stat().st_mode & ~_WRITE)
    return contents(target)


def contents(folder: Path) -> Contents:
    """What a folder holds, for a comparison later."""
    return {
        path.relative_to(folder).as_posix(): (
            (-1, 0) if path.is_dir() else (path.lstat().st_size, path.lstat().st_mtime_ns)
        )
        for path in folder.rglob("*")
    }


def changes(before: Contents, after: Contents) -> str:
    """What is different, in words; nothing if all is as it was."""
    said = [f"{path} is gone" for path in sorted(before.keys() - after.keys())]
    said += [f"{path} is new" for path in sorted(after.keys() - before.keys())]
    both = sorted(before.keys() & after.keys())
    said += [f"{path} was changed" for path in both if before[path] != after[path]]
    more = f" and {len(said) - _NAMED} more" if len(said) > _NAMED else ""
    return ", ".join(said[:_NAMED]) + more


def size(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def remove(path: Path) -> None:
    """Remove a file or folder, if it is there, also where writing was forbidden."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.is_dir():
        path.chmod(stat.S_IRWXU)
        for root, folders, _ in os.walk(path):
            for folder in (Path(root, name) for name in folders):
                if not folder.is_symlink():
                    folder.chmod(stat.S_IRWXU)
        shutil.rmtree(path)
