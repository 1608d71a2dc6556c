"""Commands that the documentation has its readers type must exist."""

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
"""What may stand before a command: variables, and how it is to run."""
PLACEHOLDER = re.compile(r"[A-Z]+|.*…")
ASKS_FOR_PIPELINES = {"pipeline", "pipelines", "pipeline_name", "pipeline_names"}


def typed(text: str) -> Iterator[str]:
    """Every `kedro …` that a page has its reader type: in blocks, and within sentences."""
    for language, block in BLOCK.findall(text):
        if language in SHELL:
            for line in block.replace("\\\n", " ").splitlines():
                yield from commands_of(line.removeprefix("$ "))
    for command in SENTENCE.findall(BLOCK.sub("", text)):
        yield from commands_of(" ".join(command.split()))


def commands_of(line: str) -> Iterator[str]:
    """The commands of a line, each without what it is joined with, or of comments."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    command: list[str] = []
    try:
        words = [*lexer, ";"]
    except ValueError:
        return  # an apostrophe in what a command says
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
    """All that one can type in this project: Kedro's commands, those of plugins, and its own."""
    bootstrap_project(ROOT)
    return KedroCLI(ROOT)


def fault(kedro: click.Group, line: str, known: Collection[str] = ()) -> str | None:
    """Why a command could not be begun, in words; None if it could.

    Args:
        kedro: All commands.
        line: What is typed.
        known: Pipelines beside those that there are.
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
    """Pipelines that are named by options, less what only stands for one."""
    for option, value in given.items():
        if option in ASKS_FOR_PIPELINES and isinstance(value, str):
            yield from (name for name in value.split(",") if not PLACEHOLDER.fullmatch(name))


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_command_of_a_page_can_be_typed(page: Path, kedro: click.Group) -> None:
    text = page.read_text(encoding="utf-8")
    made = re.findall(r"^\*\*`src/quartet/pipelines/(\w+)/pipeline.py`", text, re.M)
    faults = {line: fault(kedro, line, made) for line in typed(text)}
    assert {line: why for line, why in faults.items() if why} == {}


def test_commands_of_pages_are_found_wherever_they_stand() -> None:
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
        ("kedro azureml -e azureml submit", "no command 'submit'"),
        ("kedro mlflow ui --hosts a", "No such option '--hosts'"),
    ],
)
def test_a_command_that_cannot_be_typed_is_found_out(
    line: str, why: str, kedro: click.Group
) -> None:
    assert why in (fault(kedro, line) or "")


def test_the_workflow_takes_what_its_guide_has_one_type() -> None:
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
