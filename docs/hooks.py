"""Fills the markers in the pages of the documentation, by what `generators` makes of the code.

A page says `<!-- parameters: RegularisationSweep -->`; the built page has a table of that model's
fields there, so that it cannot fall behind the code. `<!-- command: kedro cloud -->`,
`<!-- pipeline: faq_tuning -->` and `<!-- run_parameters: base -->` are others.

What is still to be written stands in a page between guillemets; no page is built while it has any.
"""

from __future__ import annotations

import re
from typing import Any

from generators.commands import command
from generators.parameters import parameters
from generators.pipelines import pipeline, run_parameters
from mkdocs.exceptions import PluginError

MARKERS = {made.__name__: made for made in (parameters, command, pipeline, run_parameters)}
"""By the word before a marker's colon: what makes Markdown of the rest."""
MARKER = re.compile(r"^<!-- (\w+): (.+?) -->$", re.MULTILINE)
PLACEHOLDER = re.compile("[«»]")


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

    return MARKER.sub(made, markdown)


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
