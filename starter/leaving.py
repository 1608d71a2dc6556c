"""Remove tests, notebooks and modules that a project does not need."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from table import Table, fits

_TESTS = ("tests/*.py", "notebooks/*.ipynb")


def leave(project: Path, table: Table, gone: list[str], lost: Iterable[str]) -> None:
    """Remove tests and notebooks that name removed parts or import missing modules.

    Args:
        project: The project's folder, with the files of its scenarios.
        table: Contents of `scenarios.yml`.
        gone: Parts that it does not have.
        lost: Files of the repository that were not copied.
    """
    texts = {
        name: (project / name).read_text(encoding="utf-8")
        for name in _files(project)
        if fits(name, _TESTS)
    }
    named = table.names(gone)
    going = {name for name, text in texts.items() if named.search(text) or named.search(name)}
    modules = {module_of(name) for name in lost if name.endswith(".py")}
    modules -= {module_of(name) for name in _files(project)}
    while more := {
        name
        for name in texts.keys() - going
        if modules.union(map(module_of, going)).intersection(imported(name, texts[name]))
    }:
        going |= more
    for name in going:
        (project / name).unlink()


def prune(project: Path, globs: Iterable[str]) -> None:
    """Remove modules that neither code nor configuration uses, as far as globs match them.

    A module is used if a used one imports it, or a text has its name: the catalog, for instance.
    """
    names = [name for name in _files(project) if name.endswith((".py", ".yml", ".toml"))]
    texts = {name: (project / name).read_text(encoding="utf-8") for name in names}
    modules = {module_of(name): name for name in names if name.endswith(".py")}
    used = {name for name in names if not fits(name, globs)}
    waiting = set(used)
    while waiting:
        found = {
            modules[part]
            for name in waiting
            for module in references(name, texts[name])
            for part in _with_packages(module)
            if part in modules
        }
        waiting = found - used
        used |= waiting
    for name in set(names) - used:
        (project / name).unlink()
    remove_empty(project / "src")


def references(name: str, text: str) -> Iterator[str]:
    """Yield modules that a file imports or names."""
    if name.endswith(".py"):
        yield from imported(name, text)
        text = "\n".join(
            found.value
            for found in ast.walk(ast.parse(text))
            if isinstance(found, ast.Constant) and isinstance(found.value, str)
            if re.fullmatch(r"[\w.]+", found.value)  # no docstring
        )
    yield from re.findall(r"\b[a-z_]\w*(?:\.\w+)+", text)


def _with_packages(module: str) -> Iterator[str]:
    """Yield a dotted name and all names above it."""
    parts = module.split(".")
    yield from (".".join(parts[:end]) for end in range(1, len(parts) + 1))


def module_of(name: str) -> str:
    """Return a file's name when it is imported; pyproject.toml has the folders for tests."""
    plain = re.sub(r"^(src|tests(/quartet)?)/|(/__init__)?\.py$", "", name)
    return plain.replace("/", ".")


def imported(name: str, text: str) -> Iterator[str]:
    """Yield the modules that a Python file imports anywhere, or may import."""
    if not name.endswith(".py"):
        return
    for found in ast.walk(ast.parse(text)):
        if isinstance(found, ast.Import):
            yield from (each.name for each in found.names)
        elif isinstance(found, ast.ImportFrom):
            here = f"{module_of(name)}.x" if name.endswith("__init__.py") else module_of(name)
            above = here.split(".")[: -found.level] if found.level else []
            module = ".".join(filter(None, [*above, found.module]))
            yield module
            yield from (f"{module}.{each.name}" for each in found.names)


def remove_empty(folder: Path) -> None:
    """Remove folders without files."""
    for inner in sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True):
        if not any(inner.iterdir()):
            inner.rmdir()


def _files(project: Path) -> list[str]:
    return [path.relative_to(project).as_posix() for path in project.rglob("*") if path.is_file()]
