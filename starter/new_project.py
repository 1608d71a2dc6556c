"""Create a project with some scenarios of this repository, for `kedro new --starter`.

Inputs are the repository, an empty folder and the user's answers. Afterwards the folder has all
files of the chosen scenarios, the parts of common files that they need, and the files of `own`.
`scenarios.yml` lists which these are. This needs only what Kedro installs.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import blocks
import lock_files
import naming
import pages
from jinja2 import Environment
from leaving import leave, prune, remove_empty
from table import AZURE, CUTS, Table

HERE = Path(__file__).parent
_EXAMPLES = re.compile(r'(\n\n +\\b\n)((?: +(?!""")\S.*\n)+)')
"""In the help of a command."""
_ONE_LINE = re.compile(r'^( +"""[^"\n]+)\n +"""$', re.MULTILINE)


def main(
    repository: Path, project: Path, *, name: str, package: str, scenarios: str, azure: bool
) -> int:
    """Fill a project's folder.

    Args:
        repository: A clone of this repository, or a copy of its files.
        project: The folder.
        name: The project's name.
        package: The name of its package.
        scenarios: Names of scenarios, with commas in between, or `all`.
        azure: Whether it gets the plugin for Azure ML.

    Returns:
        The exit code: 1, and a line on stderr, if nothing was made.
    """
    try:
        table = Table.read(HERE / "scenarios.yml")
        chosen = table.with_shared([*table.chosen(scenarios), *([AZURE] if azure else [])])
        found = files(repository)
        included = [each for each in found if table.is_included(each, chosen)]
        if not azure:
            included += [each for each in found if each.startswith(tuple(table.azure["moves"]))]
        copy(repository, project, included)
    except (OSError, ValueError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    gone = [each for each in table.parts if each not in chosen]
    cut(project, table, gone)
    own = {path.relative_to(HERE / "own").as_posix() for path in (HERE / "own").rglob("*")}
    leave(project, table, gone, set(found) - set(included) - own)
    if not azure:
        naming.move(project, table.azure["moves"])
    prune(project, table.pruned)
    lock_files.reduce(project, lock_files.read_needed(HERE / "dependencies.json"))
    naming.rename(project, package, name)
    titles = [part["title"] for each, part in table.scenarios.items() if each in chosen]
    write_own(project, name=name, package=package, titles=titles, chosen=chosen)
    pages.fix(project, (repository / "mkdocs.yml").read_text(encoding="utf-8"))
    remove_empty(project)
    naming.lay_out(project)
    return 0


def files(repository: Path) -> list[str]:
    """Return the files that Git tracks in a clone, or would track in a folder without Git.

    Raises:
        OSError: There is no Git, or it cannot read the repository.
    """
    if (repository / ".git").exists():
        found = _git(repository, "ls-files", "-z")
    else:
        with tempfile.TemporaryDirectory() as empty:
            _git(repository, "init", "--quiet", "--bare", empty)
            place = (f"--git-dir={empty}", f"--work-tree={repository}")
            found = _git(repository, *place, "ls-files", "-z", "--others", "--exclude-standard")
    return sorted(name for name in found.split("\0") if name and (repository / name).is_file())


def _git(folder: Path, *arguments: str) -> str:
    environment = {key: text for key, text in os.environ.items() if not key.startswith("GIT_")}
    try:
        result = subprocess.run(
            ["git", "-c", f"safe.directory={folder}", *arguments],
            cwd=folder,
            env=environment,
            capture_output=True,
            encoding="utf-8",
            check=True,
        )
    except FileNotFoundError as error:
        raise OSError(
            "git was not found, which lists the files of the starter; install it"
        ) from error
    except subprocess.CalledProcessError as error:
        raise OSError(f"{folder}: {' '.join(error.stderr.split())}") from error
    return result.stdout


def copy(repository: Path, project: Path, names: Iterable[str]) -> None:
    """Copy files with their permissions."""
    for name in names:
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(repository / name, project / name)
    (project / ".gitkeep").unlink(missing_ok=True)  # of the empty template


def cut(project: Path, table: Table, gone: list[str]) -> None:
    """Remove the parts that were not chosen, and those of `left_out`, from common files."""
    for kind in CUTS:
        without = blocks.with_swaps if kind == "swaps" else getattr(blocks, f"without_{kind}")
        for name, parts in table.cuts(kind, gone):
            change(project / name, partial(without, parts))
    named = table.names(gone)
    for path in (project / "src").rglob("*.py"):
        change(path, partial(without_examples, named))
    change(project / "docs/reference/cli.md", partial(pages.without_commands, named))
    scenarios = [name for name in gone if name in table.scenarios]
    change(
        project / "pyproject.toml",
        partial(_requirements, scenarios, table.dependencies_only_of(gone)),
    )


def without_examples(named: re.Pattern[str], text: str) -> str:
    """Return source without examples of removed parts in the help of commands."""

    def kept(found: re.Match[str]) -> str:
        lines = [line for line in found[2].splitlines(keepends=True) if not named.search(line)]
        return found[1] + "".join(lines) if lines else "\n"

    shorter = _EXAMPLES.sub(kept, text)
    # The closing quotes of a help text of one line are on that line.
    return text if shorter == text else _ONE_LINE.sub(r'\1"""', shorter)


def _requirements(gone: Iterable[str], packages: set[str], text: str) -> str:
    """Return pyproject.toml without packages, empty extras and modules of scenarios."""
    names = "|".join(map(re.escape, packages)) or "(?!)"
    if "torch" in packages:  # it brings the package that builds the project
        text = text.replace('    "torch==', '    "setuptools>=77",\n    "torch==')
        text = blocks.without_paragraphs(["^torch = ", '^name = "pytorch-cpu"'], text)
    text = re.sub(rf'^    "(?:{names})[<>=\[].*\n', "", text, flags=re.MULTILINE)
    for extra in re.findall(r"^(\w+) = \[\n\]\n", text, flags=re.MULTILINE):
        text = text.replace(f"{extra} = [\n]\n", "")
        text = re.sub(
            rf'^(    "quartet\[.*)\b{extra}\b,?(.*",)$', r"\1\2", text, flags=re.MULTILINE
        )
    text = text.replace(',]",', ']",').replace('    "quartet[]",\n', "")
    for name in gone:
        text = text.replace(f'"quartet.{name}", ', "").replace(f', "quartet.{name}"', "")
        text = text.replace(f" | {name}", "").replace(f"{name} | ", "")
    return text


def write_own(
    project: Path, *, name: str, package: str, titles: list[str], chosen: list[str]
) -> None:
    """Write the files of `own`, and the project's name into pyproject.toml."""
    answers = {"name": name, "package": package, "titles": titles, "chosen": chosen}
    for path in (HERE / "own").rglob("*"):
        if not path.is_file():
            continue
        target = project / path.relative_to(HERE / "own")
        target.parent.mkdir(parents=True, exist_ok=True)
        template = Environment(
            trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
        ).from_string(path.read_text(encoding="utf-8"))
        target.write_text(template.render(answers), encoding="utf-8")
    summary = f"{name}: a Kedro project"
    change(
        project / "pyproject.toml",
        partial(
            _with,
            {
                "project_name": f'project_name = "{name}"',
                "description": f'description = "{summary}"',
            },
        ),
    )


def _with(lines: dict[str, str], text: str) -> str:
    for first, line in lines.items():
        text = re.sub(
            rf"^{first}\b.*$", lambda _, line=line: line, text, count=1, flags=re.MULTILINE
        )
    return text


def change(path: Path, edit: Callable[[str], str]) -> None:
    """Write a file again if an edit changes it; delete it if nothing is left."""
    if not path.is_file():
        return
    before = path.read_text(encoding="utf-8")
    after = edit(before)
    if not after.strip() and before.strip():
        path.unlink()
    elif after != before:
        path.write_text(after, encoding="utf-8")
