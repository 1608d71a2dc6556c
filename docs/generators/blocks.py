"""Write generated Markdown between the markers of a page.

A page contains `<!-- parameters: RegularisationSweep -->` and, on a later line, `<!-- end -->`. The
lines between them are generated from the code. Markers inside blocks of code are left as they are.
"""

from __future__ import annotations

import re

from .commands import command
from .parameters import parameters
from .pipelines import pipeline, run_parameters

GENERATORS = {f.__name__: f for f in (parameters, command, pipeline, run_parameters)}
"""By the word before a marker's colon: what generates Markdown from the rest."""
_BEGIN = re.compile(r"^<!-- \w+: .+ -->$", re.MULTILINE)
_CODE_OR_BLOCK = re.compile(
    r"^(?P<fence>`{3,}).*?^(?P=fence)$"
    r"|^<!-- (?P<kind>\w+): (?P<name>.+?) -->$(?P<content>.*?)(?P<end>^<!-- end -->$|\Z)",
    re.MULTILINE | re.DOTALL,
)


def fill_blocks(text: str) -> str:
    """Return a page with the current content in each of its generated blocks.

    Raises:
        ValueError: A marker is unknown, names nothing that exists, or has no end.
    """
    return _CODE_OR_BLOCK.sub(_fill, text)


def _fill(match: re.Match[str]) -> str:
    if match["fence"]:
        return match[0]
    kind, name = match["kind"], match["name"]
    marker = f"<!-- {kind}: {name} -->"
    if kind not in GENERATORS:
        raise ValueError(f"no marker '{kind}'; use one of {', '.join(GENERATORS)}")
    if not match["end"] or _BEGIN.search(match["content"]):
        raise ValueError(f"no end of the block '{marker}'; add the line '<!-- end -->'")
    return f"{marker}\n\n{GENERATORS[kind](name)}\n\n{match['end']}"
