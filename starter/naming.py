"""Give a project its own package name in place of `quartet`."""

from __future__ import annotations

import keyword
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

_TAKEN = {"conf", "data", "docs", "kedro_cloud", "quartet", "src", "support", "test", "tests"}


def check_package(name: str, scenarios: Iterable[str], pyproject: Path) -> None:
    """Check that a package can have a name.

    Args:
        name: The name.
        scenarios: Their names, which modules of the package have.
        pyproject: The file that lists the project's dependencies.

    Raises:
        ValueError: It is not an identifier in ASCII and lower case, or hides another module.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]{2,}", name) or keyword.iskeyword(name):
        raise ValueError(
            f"python_package: '{name}' is not a name for a package; use three or more lower-case "
            "letters, digits and underscores, beginning with a letter"
        )
    listed = re.findall(r'^    "([\w-]+)', pyproject.read_text(encoding="utf-8"), re.MULTILINE)
    modules = {each.replace("-", "_").lower() for each in listed} | {"sklearn", "skimage", "PIL"}
    if name in {*_TAKEN, *scenarios, *modules, *sys.stdlib_module_names}:
        raise ValueError(
            f"python_package: '{name}' is the name of another module; choose another one"
        )


def move(project: Path, moves: Mapping[str, str]) -> None:
    """Move files and folders, and rename the modules in all texts.

    Args:
        project: The project's folder.
        moves: New paths by old ones; those of folders end with a slash.
    """
    for old, new in moves.items():
        (project / new).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(project / old, project / new)
        before, after = (
            re.sub(r"^src/|/$|\.py$", "", path).replace("/", ".") for path in (old, new)
        )
        (package, _, name), (above, _, _) = before.rpartition("."), after.rpartition(".")
        _replace(project, rf"\b{re.escape(before)}\b", after)
        _replace(project, rf"\bfrom {package} import {name}\b", f"from {above} import {name}")


def rename(project: Path, package: str, title: str) -> None:
    """Rename the package everywhere: folders, imports, configuration, variables, texts.

    Names of Azure's resources begin with the first eight characters of the package's name, with
    hyphens instead of underscores: `infra/main.bicep` allows twelve, such as `quartet-dev`.

    Args:
        project: The project's folder.
        package: The new name.
        title: The project's name, as texts have it.
    """
    for folder in ("src/quartet", "tests/quartet"):
        if (project / folder).is_dir():
            (project / folder).rename((project / folder).with_name(package))
    resources = package[:8].strip("_").replace("_", "-")
    _replace(project / "infra", "'quartet'", f"'{resources}'")
    names = {
        "quartet": package,
        "quartet-": f"{resources}-",
        "QUARTET_": package.upper() + "_",
        "Quartet": title,
    }
    pattern = r"quartet-(?=\w)|quartet|QUARTET_|\bQuartet\b"
    _replace(project, pattern, lambda found: names[found[0]])


def _replace(project: Path, pattern: str, new: str | Callable[[re.Match[str]], str]) -> None:
    """Replace what a pattern matches in all text files but lock files."""
    for path in project.rglob("*"):
        if not path.is_file() or path.suffix == ".lock":
            continue
        try:
            before = path.read_bytes().decode("utf-8")
        except UnicodeDecodeError:
            continue  # not a text
        after = re.sub(pattern, new, before)
        if after != before:
            path.write_bytes(after.encode("utf-8"))


def lay_out(project: Path) -> None:
    """Sort imports, drop unused ones and wrap lines again, if ruff is found.

    They depend on the package's name, and on what was taken out. Ruff is looked for in the
    environment of `kedro` and on the path; without it, `make format` does the same later.
    """
    folders = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    ruff = shutil.which("ruff", path=folders)
    for command in (["check", "--select=F401,I", "--fix"], ["format"]) if ruff else ():
        subprocess.run([str(ruff), *command, "--quiet", "--no-cache", "."], cwd=project, check=True)
