"""Cases of invalid input, and helpers that check their error line and unchanged outputs."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from damage import Damage
from support import GUARD_S

LONGEST_LINE = 400
_NOT_OUTPUTS = ("01_raw", "transfer_plan.json")
"""Inputs, and the plan that a transfer saves before it reads a picture."""


@dataclass(frozen=True)
class Case:
    """A case of invalid input.

    Attributes:
        name: Name of the case.
        arguments: Arguments of `kedro`.
        parts: Texts that the error line contains.
        damage: Change of the project before the command.
        environment: Variables of the command.
        code: Exit code.
    """

    name: str
    arguments: tuple[str, ...]
    parts: tuple[str, ...]
    damage: Damage | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    code: int = 1


def run(pipeline: str, *options: str) -> tuple[str, ...]:
    """Return the arguments of `kedro run` for one pipeline."""
    return ("run", "--pipelines", pipeline, *options)


def with_params(pipeline: str, parameters: str) -> tuple[str, ...]:
    """Return the arguments of `kedro run` with `--params`."""
    return run(pipeline, "--params", parameters)


def read_outputs(folder: Path) -> dict[str, str]:
    """Return checksums of what a run may change: files, rows of databases, registered versions."""
    found = {}
    for root in (folder / "data", folder / "mlartifacts"):
        for path in root.rglob("*"):
            if path.is_symlink() or not path.is_file() or set(path.parts) & set(_NOT_OUTPUTS):
                continue
            if path.suffix == ".db":
                rows = _rows(path, "sensor_windows", "sensor_anomalies", "trials")
                found |= {str(path): rows} if rows else {}
            elif not path.name.endswith(("-wal", "-shm")):
                found[str(path)] = _checksum(path, _stamp(path))
    if (folder / "mlflow.db").is_file():
        found["registry"] = _rows(folder / "mlflow.db", "model_versions")
    return found


def _stamp(path: Path) -> tuple[int, int] | None:
    """Return the size and time of a file, which identify its content."""
    try:
        facts = path.stat()
    except FileNotFoundError:
        return None
    return facts.st_size, facts.st_mtime_ns


@cache
def _checksum(path: Path, stamp: object) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _rows(database: Path, *tables: str) -> str:
    """Return a checksum of the rows, or of the error in reading them; empty without rows."""
    log = database.with_name(f"{database.name}-wal")
    return _rows_checksum(database, tables, (_stamp(database), _stamp(log)))


@cache
def _rows_checksum(database: Path, tables: tuple[str, ...], stamps: object) -> str:
    found = []
    address = f"{database.as_uri()}?mode=ro"
    with closing(sqlite3.connect(address, uri=True, timeout=GUARD_S)) as connection:
        for table in tables:
            try:
                found += map(repr, connection.execute(f"SELECT * FROM {table}"))
            except sqlite3.DatabaseError as error:
                found += [] if "no such table" in str(error) else [str(error)]
    return hashlib.sha256("".join(found).encode()).hexdigest() if found else ""


def restore(folder: Path, original: Path) -> None:
    """Restore a copy of a project from its original."""
    current, expected = _list_files(folder), _list_files(original)
    for name in sorted(current, reverse=True):
        if current[name] != expected.get(name):
            path = folder / name
            path.rmdir() if current[name] == "folder" else path.unlink()
    for name in sorted(expected):
        if expected[name] != current.get(name):
            if expected[name] == "folder":
                (folder / name).mkdir()
            else:
                shutil.copy2(original / name, folder / name)


def _list_files(folder: Path) -> dict[str, object]:
    """Return size and time of each file below a folder, by relative path."""
    found: dict[str, object] = {}
    for root, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            path = Path(root, name)
            facts = path.lstat()
            kind = "link" if path.is_symlink() else "folder" if path.is_dir() else "file"
            entry = kind if kind == "folder" else (kind, facts.st_size, facts.st_mtime_ns)
            found[str(path.relative_to(folder))] = entry
    return found


def read_error_line(stderr: str) -> str:
    """Return the error line of a command; fail if there is not exactly one."""
    lines = [line for line in stderr.splitlines() if line.startswith("Error: ")]
    assert "Traceback" not in stderr, stderr[-3000:]
    assert len(lines) == 1, stderr[-3000:]
    assert len(lines[0]) <= LONGEST_LINE, f"{len(lines[0])} characters: {lines[0]}"
    return lines[0]
