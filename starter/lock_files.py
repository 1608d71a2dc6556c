"""Reduce the lock files to what a project depends on, with the same versions and hashes."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

_CUDA = "requirements-cuda.lock"
_CORE, _RUNTIME, _DEV = "requirements-core.lock", "requirements.lock", "requirements-dev.lock"


def reduce(project: Path, needed: Mapping[str, list[str]]) -> None:
    """Rewrite the lock files with the dependencies of pyproject.toml.

    Args:
        project: The project's folder.
        needed: By package, the others that it needs: `dependencies.json`.
    """
    files = {name: _blocks(project / name) for name in (_CORE, _RUNTIME, _DEV, _CUDA)}
    headers = {name: (project / name).read_text("utf-8").partition("\n")[0] for name in files}
    found = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
    extras = found["project"].get("optional-dependencies", {})
    core = closure(found["project"]["dependencies"], needed)
    runtime = core.union(*(closure(packages, needed) for packages in extras.values()))
    dev = closure(found["dependency-groups"]["dev"], needed) - runtime
    everything = files[_RUNTIME] | files[_DEV]
    kept = {
        _CORE: {name: block for name, block in files[_CORE].items() if name in core},
        _RUNTIME: {name: block for name, block in files[_RUNTIME].items() if name in runtime},
        _DEV: {name: block for name, block in everything.items() if name in dev},
        _CUDA: {name: block for name, block in files[_CUDA].items() if name in core},
    }
    for name, blocks in kept.items():
        text = "".join(blocks[package] for package in sorted(blocks))
        (project / name).write_text(f"{headers[name]}\n{text}", encoding="utf-8")


def _blocks(path: Path) -> dict[str, str]:
    """Return the lines of each package."""
    blocks = re.split(r"^(?=[a-z])", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return {block.partition("==")[0]: block for block in blocks}


def closure(requirements: Iterable[str], needed: Mapping[str, list[str]]) -> set[str]:
    """Return the packages that requirements name, and all that these need."""
    waiting = [re.sub(r"[\[<>=!~; ].*", "", each).lower() for each in requirements]
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in needed and name not in found:
            found.add(name)
            waiting += needed[name]
    return found


def read_needed(path: Path) -> dict[str, list[str]]:
    """Return the content of `dependencies.json`."""
    found: dict[str, list[str]] = json.loads(path.read_text(encoding="utf-8"))
    return found
