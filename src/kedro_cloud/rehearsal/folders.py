"""Mount output folders read-only as inputs of later steps, and detect changes to them."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path

_WRITE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH
_NAMED = 3
"""Number of changed files that the message names."""

Contents = Mapping[str, tuple[int, int]]
"""Size in bytes and modification time in ns, by relative path; (-1, 0) for a folder."""


def mount(source: Path, target: Path) -> Contents:
    """Link the files of a folder into a new read-only folder; return its contents.

    Files are copied if the file system has no hard links. Empty folders are skipped, as in blob
    storage.
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
        path.chmod(path.stat().st_mode & ~_WRITE)
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
    """Return a text with all differences; empty if there are none."""
    texts = [f"{path} is gone" for path in sorted(before.keys() - after.keys())]
    texts += [f"{path} is new" for path in sorted(after.keys() - before.keys())]
    both = sorted(before.keys() & after.keys())
    texts += [f"{path} was changed" for path in both if before[path] != after[path]]
    more = f" and {len(texts) - _NAMED} more" if len(texts) > _NAMED else ""
    return ", ".join(texts[:_NAMED]) + more


def size(folder: Path) -> int:
    """Return the size of all files in a folder, in bytes."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def remove(path: Path) -> None:
    """Remove a file or folder, if it exists, even if it is read-only."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.is_dir():
        path.chmod(stat.S_IRWXU)
        for root, folders, _ in os.walk(path):
            for folder in (Path(root, name) for name in folders):
                if not folder.is_symlink():
                    folder.chmod(stat.S_IRWXU)
        shutil.rmtree(path)
