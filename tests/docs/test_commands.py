"""Documented commands exist, and the reference documents all of them."""

import html
import re
from pathlib import Path

import click

from docs.pages import PAGES, built, tables
from support import ROOT


def test_commands_of_the_documentation_exist_in_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    texts = [page.read_text(encoding="utf-8") for page in [*PAGES, ROOT / "CONTRIBUTING.md"]]
    named = {name for text in texts for name in re.findall(r"(?:`|\$ )make ([a-z]+)", text)}
    assert named
    assert named <= targets


def test_reference_has_every_command_with_every_option_and_its_default(
    own_commands: dict[str, click.Command], site: Path
) -> None:
    headed = re.split(r"<h[2-6] id=[^>]*>", built(site, "cli"))
    sections = {html.unescape(re.sub(r"<[^>]+>", "", text)).split("¶")[0]: text for text in headed}
    assert own_commands.keys() >= {"kedro run", "kedro fetch", "kedro cloud schedule create"}
    for path, command in own_commands.items():
        assert path in sections, f"no heading '{path}'"
        rows = [row for table in tables(sections[path]) for row in table]
        for option in command.params:
            if not isinstance(option, click.Option):
                assert f"{option.make_metavar(click.Context(command))}" in sections[path], path
                continue
            name = ", ".join([*option.opts, *option.secondary_opts])
            found = [row[1:] for row in rows if f"{row[0]} ".startswith(f"{name} ")]
            assert len(found) == 1, f"{path}: {len(found)} rows for {name}"
            default, meaning = found[0]
            plain = " ".join((option.help or "").replace("`", "").split())
            assert meaning == plain, f"{path} {name}"
            if option.required:
                assert default == "required"
            elif option.show_default:
                assert default == str(option.default)


def test_reference_shows_the_examples_of_the_commands_help(
    own_commands: dict[str, click.Command], site: Path
) -> None:
    text = html.unescape(re.sub(r"<[^>]+>", "", built(site, "cli")))
    examples = [
        line.strip()
        for command in own_commands.values()
        for block in re.findall(r"\x08\n(.*?)(?:\n\n|\Z)", command.help or "", flags=re.DOTALL)
        for line in block.strip().splitlines()
    ]
    assert len(examples) > 10
    assert [line for line in examples if f"$ {line}" not in text] == []
