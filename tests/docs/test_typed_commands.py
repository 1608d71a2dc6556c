"""Commands that readers of the documentation type exist."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Collection, Iterator
from pathlib import Path

import click
import pytest
from kedro.framework.cli.cli import KedroCLI
from kedro.framework.project import pipelines
from kedro.framework.startup import bootstrap_project

from docs.pages import PAGES
from repository.test_workflows import FOLDER, GUIDE, read
from support import ROOT, needs_azure

pytestmark = needs_azure  # its commands are on the pages, too
TEXTS = [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "infra/README.md"]
BLOCK = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SENTENCE = re.compile(r"(?<!`)`(kedro [^`]+)`(?!`)")
SHELL = ("", "bash", "console", "sh")
BEFORE = re.compile(r"\w+=.*|nice|time|-n|\d+")
"""What may precede a command: variables, and programs that run it."""
PLACEHOLDER = re.compile(r"[A-Z]+|.*…")
ASKS_FOR_PIPELINES = {"pipeline", "pipelines", "pipeline_name", "pipeline_names"}


def typed(text: str) -> Iterator[str]:
    """Yield each command `kedro …` of a page, in blocks and within sentences."""
    for language, block in BLOCK.findall(text):
        if language in SHELL:
            for line in block.replace("\\\n", " ").splitlines():
                yield from commands_of(line.removeprefix("$ "))
    for command in SENTENCE.findall(BLOCK.sub("", text)):
        yield from commands_of(" ".join(command.split()))


def commands_of(line: str) -> Iterator[str]:
    """Yield the commands of a line that joins several, without comments."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    command: list[str] = []
    try:
        words = [*lexer, ";"]
    except ValueError:
        return  # an apostrophe in the output of a command
    for word in words:
        if not set(word) <= set("|&;<>"):
            command.append(word)
            continue
        while command and BEFORE.fullmatch(command[0]):
            command.pop(0)
        if command[:1] == ["kedro"]:
            yield shlex.join(command)
        command = []


@pytest.fixture(scope="module")
def kedro() -> click.Group:
    """All commands in this project: Kedro's, those of plugins, and its own."""
    bootstrap_project(ROOT)
    return KedroCLI(ROOT)


def find_fault(kedro: click.Group, line: str, known: Collection[str] = ()) -> str | None:
    """Return why a command would be rejected; None if it would start.

    Args:
        kedro: All commands.
        line: The command.
        known: Names of further pipelines.
    """
    words = shlex.split(line)[1:]
    command: click.Command = kedro
    context = click.Context(kedro, info_name="kedro")
    while True:
        try:
            given, words, _ = command.make_parser(context).parse_args(words)
        except click.UsageError as error:
            return error.format_message()
        unknown = set(names_of_pipelines(given)) - set(pipelines) - set(known)
        if unknown:
            return f"no pipeline '{unknown.pop()}'"
        if not isinstance(command, click.Group) or not words or PLACEHOLDER.fullmatch(words[0]):
            return None
        below = command.get_command(context, words[0])
        if below is None:
            return f"no command '{words[0]}'"
        command, context = below, click.Context(below, info_name=words.pop(0), parent=context)


def names_of_pipelines(given: dict[str, object]) -> Iterator[str]:
    """Yield the pipelines named by options, without placeholders."""
    for option, value in given.items():
        if option in ASKS_FOR_PIPELINES and isinstance(value, str):
            yield from (name for name in value.split(",") if not PLACEHOLDER.fullmatch(name))


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_command_of_a_page_exists(page: Path, kedro: click.Group) -> None:
    text = page.read_text(encoding="utf-8")
    made = re.findall(r"^\*\*`src/quartet/pipelines/(\w+)/pipeline.py`", text, re.M)
    faults = {line: find_fault(kedro, line, made) for line in typed(text)}
    assert {line: why for line, why in faults.items() if why} == {}


def test_commands_are_found_in_blocks_and_sentences() -> None:
    text = (
        "```console\n$ KEDRO_CLOUD_TRACEBACK=1 kedro run \\\n    --nodes a  # why\n"
        "$ make azurite && nice -n 10 kedro cloud status | tail\nError: doesn't\n```\n"
        "Say `kedro viz\nrun` or `make`.\n```text\nkedro is not typed here\n```\n"
    )
    assert list(typed(text)) == ["kedro run --nodes a", "kedro cloud status", "kedro viz run"]
    found = [line for page in PAGES for line in typed(page.read_text(encoding="utf-8"))]
    assert len(found) > 100
    assert any(line.startswith("kedro cloud rehearse") for line in found)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("kedro cloud plane", "no command 'plane'"),
        ("kedro cloud plan -p faq", "no pipeline 'faq'"),
        ("kedro run --pipelines faq_tuning,faq", "no pipeline 'faq'"),
        ("kedro cloud rehearse --again", "No such option '--again'"),
        ("kedro run --nodes", "requires an argument"),
    ],
)
def test_a_command_that_does_not_exist_is_detected(line: str, why: str, kedro: click.Group) -> None:
    assert why in (find_fault(kedro, line) or "")


def test_the_workflow_accepts_the_command_of_its_guide() -> None:
    guide = GUIDE.read_text(encoding="utf-8")
    started = re.search(
        r"^\$ gh workflow run (\S+)((?: --field \w+=(?:'[^']*'|\S+))+)", guide, re.M
    )
    assert started
    assert (FOLDER / started[1]).is_file()
    fields = dict(word.split("=", 1) for word in shlex.split(started[2]) if word != "--field")
    inputs = read(FOLDER / started[1])["on"]["workflow_dispatch"]["inputs"]
    assert fields.keys() <= inputs.keys()
    assert fields["pipeline"] in inputs["pipeline"]["options"]
    assert isinstance(json.loads(fields["params"]), dict)
