"""Writes the two lock files from what is installed: `make lock`.

requirements.lock holds what the project needs to run, and is what images are made of;
requirements-dev.lock holds what only its developers need beside it.
"""

import tomllib
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

INSTALLERS = {"pip", "setuptools", "wheel", "quartet"}


def closure(requirements: Iterable[Requirement]) -> set[str]:
    """Canonical names of these distributions and of all that they need here."""
    found: set[tuple[str, str]] = set()
    waiting = [wanted for requirement in requirements for wanted in with_extras(requirement)]
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in found:
            continue
        found.add((name, extra))
        try:
            needed = map(Requirement, distribution(name).requires or [])
        except PackageNotFoundError:
            continue  # of an optional part that is not installed
        for requirement in needed:
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                waiting += with_extras(requirement)
    return {name for name, _ in found}


def with_extras(requirement: Requirement) -> list[tuple[str, str]]:
    """The distribution itself, and once for each of its extras that is asked for."""
    return [(canonicalize_name(requirement.name), extra) for extra in ("", *requirement.extras)]


def write(path: Path, purpose: str, names: set[str], versions: dict[str, str]) -> None:
    """Write pinned versions, less a local build label such as `+cpu`."""
    lines = [f"# {purpose}, for Python 3.11 on Linux: pip install -r {path.name}"]
    lines += [f"{name}=={versions[name].partition('+')[0]}" for name in sorted(names)]
    path.write_text("\n".join(lines) + "\n")


root = Path(__file__).parents[1]
project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
installed = {canonicalize_name(found.name): found.version for found in distributions()}
to_run = closure(map(Requirement, project["dependencies"])) & installed.keys() - INSTALLERS
to_develop = installed.keys() - to_run - INSTALLERS
write(root / "requirements.lock", "Everything Quartet runs on", to_run, installed)
write(root / "requirements-dev.lock", "What its developers need besides", to_develop, installed)
