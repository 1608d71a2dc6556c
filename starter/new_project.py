"""Makes a project of some scenarios out of this repository, for `kedro new --starter`.

In come the repository, an empty folder, and what the user answered; the folder then holds all files
of the chosen scenarios, and of those that are common the parts that they need. `scenarios.yml` says
which these are. Only what Kedro brings is imported, as nothing else is installed yet.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import blocks
import pages
from leaving import leave
from table import Table

HERE = Path(__file__).parent
_EXAMPLES = re.compile(r'(\n\n +\\b\n)((?: +(?!""")\S.*\n)+)')
"""In the help of a command."""
_ONE_LINE = re.compile(r'^( +"""[^"\n]+)\n +"""$', re.MULTILINE)


def main(repository: Path, project: Path, name: str, scenarios: str) -> int:
    """The exit code: 1 with a line that says why, if nothing was made."""
    try:
        table = Table.read(HERE / "scenarios.yml")
        chosen = table.chosen(scenarios)
        found = files(repository)
        wanted = [each for each in found if table.is_wanted(each, chosen)]
        copy(repository, project, wanted)
    except (OSError, ValueError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    gone = [each for each in table.scenarios if each not in chosen]
    cut(project, table, gone, set(found) - set(wanted))
    entitle(project, name, {each: table.scenarios[each]["title"] for each in chosen})
    pages.fix(project)
    return 0


def files(repository: Path) -> list[str]:
    """Files that Git keeps of a clone, or would keep of a plain folder.

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
            "git is not there, which lists the files of the starter: install it"
        ) from error
    except subprocess.CalledProcessError as error:
        raise OSError(f"{folder}: {' '.join(error.stderr.split())}") from error
    return result.stdout


def copy(repository: Path, project: Path, names: Iterable[str]) -> None:
    """Copy files, with the right to be run."""
    for name in names:
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(repository / name, project / name)
    (project / ".gitkeep").unlink(missing_ok=True)  # of the empty template


def cut(project: Path, table: Table, gone: list[str], lost: Iterable[str]) -> None:
    """Take out of the files that all scenarios share what is of those that are gone."""
    for kind, without in (
        ("keys", blocks.without_keys),
        ("lines", blocks.without_lines),
        ("sections", blocks.without_sections),
        ("definitions", blocks.without_definitions),
    ):
        for name, parts in table.parts(kind, gone):
            _change(project / name, lambda text, do=without, what=parts: do(text, what))
    for name, patterns in table.starter_lines.items():
        _change(project / name, lambda text, what=patterns: blocks.without_lines(text, what))
    if gone:
        named = table.names(gone)
        leave(project, table, gone, lost)
        for path in (project / "src").rglob("*.py"):
            _change(path, lambda text: without_examples(text, named))
        commands = project / "docs/reference/cli.md"
        _change(commands, lambda text: pages.without_commands(text, named))
        packages = table.dependencies_only_of(gone)
        _change(project / "pyproject.toml", lambda text: _requirements(text, gone, packages))


def without_examples(text: str, named: re.Pattern[str]) -> str:
    """Source whose commands' help has no examples of what is gone."""

    def kept(found: re.Match[str]) -> str:
        lines = [line for line in found[2].splitlines(keepends=True) if not named.search(line)]
        return found[1] + "".join(lines) if lines else "\n"

    shorter = _EXAMPLES.sub(kept, text)
    # A help that now has but one line ends on that line.
    return text if shorter == text else _ONE_LINE.sub(r'\1"""', shorter)


def _requirements(text: str, gone: Iterable[str], packages: set[str]) -> str:
    """pyproject.toml without packages, and without modules in import-linter's contracts."""
    text = blocks.without_lines(
        text, [rf'^    "{re.escape(name)}[<>=]' for name in packages] or [r"(?!)"]
    )
    for name in gone:
        text = text.replace(f'"quartet.{name}", ', "").replace(f', "quartet.{name}"', "")
        text = text.replace(f" | {name}", "")
    return text


def entitle(project: Path, name: str, scenarios: dict[str, str]) -> None:
    """Put the project's name, and what it holds, where people look first."""
    listed = "\n".join(f"- {title}" for title in scenarios.values())
    for page in ("README.md", "docs/index.md", "docs/benchmarks.md"):
        text = (HERE / page).read_text(encoding="utf-8")
        (project / page).write_text(
            text.replace("NAME", name).replace("SCENARIOS", listed), encoding="utf-8"
        )
    summary = f"{name}: machine learning as one Kedro project, the same on a laptop and on Azure ML"
    _change(
        project / "mkdocs.yml",
        lambda text: _with(
            text, site_name=f"site_name: {name}", site_description=f'site_description: "{summary}"'
        ),
    )
    _change(
        project / "pyproject.toml",
        lambda text: _with(
            text, project_name=f'project_name = "{name}"', description=f'description = "{summary}"'
        ),
    )


def _with(text: str, **lines: str) -> str:
    for first, line in lines.items():
        text = re.sub(
            rf"^{first}\b.*$", lambda found, line=line: line, text, count=1, flags=re.MULTILINE
        )
    return text


def _change(path: Path, change: Callable[[str], str]) -> None:
    """Write a file again if a change does anything to it; it goes if nothing is left."""
    if not path.is_file():
        return
    before = path.read_text(encoding="utf-8")
    after = change(before)
    if not after.strip() and before.strip():
        path.unlink()
    elif after != before:
        path.write_text(after, encoding="utf-8")
