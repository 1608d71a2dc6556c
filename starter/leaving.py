"""Tests and stories of scenarios that a project has not."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from table import Table, fits


def leave(project: Path, table: Table, gone: list[str], lost: Iterable[str]) -> None:
    """Remove tests and notebooks that name what is gone, and those that rest on what is not there.

    Args:
        project: With the files of its scenarios.
        table: Says which files may leave.
        gone: Scenarios that it has not.
        lost: Files that were not copied.
    """
    paths = (path for path in project.rglob("*") if path.is_file())
    names = (path.relative_to(project).as_posix() for path in paths)
    texts = {
        name: (project / name).read_text(encoding="utf-8")
        for name in names
        if fits(name, table.leave_with) and not fits(name, table.stay)
    }
    named = table.names(gone)
    going = {name for name, text in texts.items() if named.search(text) or named.search(name)}
    modules = {_module(name) for name in lost}
    while more := {
        name
        for name in texts.keys() - going
        if modules.union(map(_module, going)).intersection(imported(name, texts[name]))
    }:
        going |= more
    for name in going:
        (project / name).unlink()
    _remove_empty(project / "tests")


def _module(name: str) -> str:
    """Return a file's name when it is imported; pyproject.toml has the folders for tests."""
    plain = re.sub(r"^(src|tests(/quartet|/kedro_cloud)?)/|(/__init__)?\.py$", "", name)
    return plain.replace("/", ".")


def imported(name: str, text: str) -> Iterator[str]:
    """Modules that a Python file may import, wherever it does."""
    if not name.endswith(".py"):
        return
    for found in ast.walk(ast.parse(text)):
        if isinstance(found, ast.Import):
            yield from (each.name for each in found.names)
        elif isinstance(found, ast.ImportFrom):
            here = f"{_module(name)}.x" if name.endswith("__init__.py") else _module(name)
            above = here.split(".")[: -found.level] if found.level else []
            module = ".".join(filter(None, [*above, found.module]))
            yield module
            yield from (f"{module}.{each.name}" for each in found.names)


def _remove_empty(folder: Path) -> None:
    """Remove folders in which there is nothing."""
    for inner in sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True):
        if not any(inner.iterdir()):
            inner.rmdir()
