"""Fills the markers in the pages of the documentation, by what `generators` makes of the code.

A page says `<!-- parameters: RegularisationSweep -->`; the built page has a table of that model's
fields there, so that it cannot fall behind the code. `<!-- command: kedro cloud -->`,
`<!-- pipeline: faq_tuning -->` and `<!-- run_parameters: base -->` are others.

What is still to be written stands in a page between guillemets; no page is built while it has any.

To the page `explore.md` belongs Kedro-Viz of all pipelines, made by `generators.static_viz`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from generators.commands import command
from generators.parameters import parameters
from generators.pipelines import pipeline, run_parameters
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from pymdownx.superfences import fence_code_format

DOCS = Path(__file__).parent
MARKERS = {made.__name__: made for made in (parameters, command, pipeline, run_parameters)}
"""By the word before a marker's colon: what makes Markdown of the rest."""
MARKER = re.compile(r"^<!-- (\w+): (.+?) -->$", re.MULTILINE)
SHOWN = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
"""Blocks of code, in which a marker is shown and means nothing."""
PLACEHOLDER = re.compile("[«»]")


def on_config(config: Any, **kwargs: Any) -> Any:
    """Let the theme draw blocks of Mermaid; a browser without a network shows their text."""
    fence = {"name": "mermaid", "class": "mermaid", "format": fence_code_format}
    config.mdx_configs.setdefault("pymdownx.superfences", {})["custom_fences"] = [fence]
    return config


def on_page_markdown(markdown: str, page: Any = None, **kwargs: Any) -> str:
    """The page with every marker replaced by what it stands for; called by MkDocs.

    Raises:
        PluginError: A marker names nothing, or something is still to be written; names the page.
    """
    where = page.file.src_uri if page else "a page"
    refuse_placeholders(markdown, where)

    def made(match: re.Match[str]) -> str:
        kind, what = match.groups()
        if kind not in MARKERS:
            raise PluginError(f"{where}: no marker '{kind}'; known: {', '.join(MARKERS)}")
        try:
            return MARKERS[kind](what)
        except ValueError as error:
            raise PluginError(f"{where}: {error}") from error

    parts = SHOWN.split(markdown)
    parts[::2] = (MARKER.sub(made, part) for part in parts[::2])
    return "".join(parts)


def on_files(files: Files, config: Any = None, **kwargs: Any) -> Files:
    """The site's files with the static Kedro-Viz, if there is the page that leads to it."""
    if files.get_file_from_path("explore.md"):
        folder = Path(static_viz().name)
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                place = f"kedro-viz/{path.relative_to(folder).as_posix()}"
                files.append(File.generated(config, place, abs_src_path=str(path)))
    return files


@cache
def static_viz() -> tempfile.TemporaryDirectory[str]:
    """Kedro-Viz of all pipelines, made once, also where `mkdocs serve` builds many times.

    Raises:
        PluginError: It cannot be made; tells why.
    """
    folder = tempfile.TemporaryDirectory()
    made = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "generators.static_viz", folder.name],
        cwd=DOCS.parent,
        # Without the variables of whoever builds the site: they may lead to another database.
        env={name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        | {"PYTHONPATH": str(DOCS)},
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        raise PluginError(f"Kedro-Viz could not be made:\n{made.stderr}")
    return folder


def refuse_placeholders(markdown: str, where: str) -> None:
    """Make sure that nothing is still to be written.

    Raises:
        PluginError: There are guillemets; names the page and the line of each.
    """
    found = [
        f"{where}:{number}: {line.strip()}"
        for number, line in enumerate(markdown.splitlines(), start=1)
        if PLACEHOLDER.search(line)
    ]
    if found:
        raise PluginError("still to be written:\n" + "\n".join(found))
