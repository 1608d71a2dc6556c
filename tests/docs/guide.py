"""Follow the steps of a page: write its files, run its commands, compare their outputs.

A block below the name of a file is the file's content, or with "at the end" is appended to it. A
`diff` block changes a file: lines with + are inserted between the others, which must exist. A
`console` block has commands, each with its output; … matches anything.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from support import ROOT, clean_environment, run_kedro, run_program

_BLOCK = re.compile(
    r"^(?:\*\*`(?P<file>[^`]+)`\*\*(?P<at_end>, at the end)?:\n\n)?"
    r"```(?P<language>\w+)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_FAILURES = ("Error", "FAILED", "step '")


@dataclass(frozen=True)
class Block:
    """A block of code of a page.

    Attributes:
        language: The word after the fence.
        text: The lines between the fences.
        file: The file named above the block; None if there is none.
        at_end: Whether the text is added to the end of the file.
    """

    language: str
    text: str
    file: str | None = None
    at_end: bool = False


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page, in order."""
    return [
        Block(found["language"], found["text"], found["file"], bool(found["at_end"]))
        for found in _BLOCK.finditer(page.read_text(encoding="utf-8"))
    ]


def copy_project(folder: Path) -> Path:
    """Copy all files of the project that git does not ignore."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in os.fsdecode(listed.stdout).split("\0"):
        if name and (ROOT / name).is_file():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
            target.chmod((ROOT / name).stat().st_mode)
    return folder


def write(project: Path, block: Block) -> None:
    """Write or change the file that a block names."""
    assert block.file
    path = project / block.file
    if block.language == "diff":
        lines = block.text.splitlines(keepends=True)
        before = "".join(line[1:] for line in lines if line[0] != "+")
        after = "".join(line[1:] for line in lines if line[0] != "-")
        text = path.read_text(encoding="utf-8")
        assert text.count(before) == 1, f"{block.file} has not once:\n{before}"
        path.write_text(text.replace(before, after), encoding="utf-8")
    elif block.at_end:
        with path.open("a", encoding="utf-8") as file:
            file.write("\n\n" * (path.suffix == ".py") + block.text)
    else:
        assert not path.exists(), f"{block.file} already exists"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text, encoding="utf-8")


def commands(block: Block) -> Iterator[tuple[str, list[str]]]:
    """Yield each command of a block of `console`, with its expected lines of output."""
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, *expected = part.replace("\\\n", " ").splitlines()
        yield command, [line for line in expected if line.strip()]


def run(project: Path, command: str, expected: list[str], environment: dict[str, str]) -> None:
    """Run a command in the project, and check its output and whether it succeeds."""
    given = clean_environment() | environment
    variables = {name: text for name, text in given.items() if "PYTEST" not in name} | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(project / "src"),
        "COLUMNS": "300",
    }
    words = shlex.split(command)
    if words[0] == "kedro" and words == command.split():  # without syntax of a shell
        removed = dict.fromkeys(os.environ)
        result = run_kedro(project, *words[1:], environment={**removed, **variables})
    else:
        result = run_program("bash", "-c", command, folder=project, environment=variables)
    output = result.stdout + result.stderr
    missing = [line for line in expected if not re.search(pattern(line), output)]
    assert missing == [], f"$ {command}\n{output}"
    fails = any(line.startswith(_FAILURES) for line in expected)
    assert (result.returncode != 0) == fails, f"$ {command}\n{output}"


def pattern(line: str) -> str:
    """Return a pattern of a line of output: any spaces for spaces, and anything for …"""
    words = (".*".join(map(re.escape, word.split("…"))) for word in line.split())
    return r"\s+".join(words)


def follow(
    page: Path, project: Path, skip: Collection[str] = (), **environment: str
) -> Iterator[str]:
    """Do what a page describes, step by step; yield each file and command.

    Args:
        page: The page.
        project: A copy of the project.
        skip: Beginnings of commands that are not run.
        environment: Variables for the commands.
    """
    for block in blocks(page):
        if block.file:
            write(project, block)
            yield block.file
        elif block.language == "console":
            for command, expected in commands(block):
                if not command.startswith(tuple(skip)):
                    run(project, command, expected, environment)
                    yield command
