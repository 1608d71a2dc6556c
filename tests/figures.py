"""The measured figures, and the pages that show them."""

from __future__ import annotations

import datetime
import json
import os
import platform
import re
from pathlib import Path

from support import ROOT

FIGURES = ROOT / "docs/benchmarks.json"
PAGE = ROOT / "docs/benchmarks.md"
README = ROOT / "README.md"
MARKED = re.compile(r"(<!-- figures: begin -->\n).*(<!-- figures: end -->)", re.DOTALL)

Figures = dict[str, dict[str, dict[str, str]]]
COLUMNS = ("reference", "quartet", "target", "reached")


def write_figure(section: str, what: str, **row: str) -> None:
    """Put one row into the figures, and into the pages made from them."""
    figures = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    figures.setdefault(section, {})[what] = {**row, "measured": f"{today}, {machine()}"}
    FIGURES.write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n")
    PAGE.write_text(page(figures))
    README.write_text(with_figures(README.read_text(), figures))


def machine() -> str:
    """The processor, as far as speed depends on it."""
    text = Path("/proc/cpuinfo").read_text()
    model = next(line for line in text.splitlines() if line.startswith("model name"))
    amx = ", AMX" if "amx_bf16" in text else ""
    return f"{os.cpu_count()} cores of {model.split(':')[1].strip()}{amx}, {platform.system()}"


def page(figures: Figures) -> str:
    """The page of the documentation."""
    parts = [
        "# Benchmarks\n",
        "Measured by `make bench`, each beside the recipe of the reference system, in the same "
        "process where both are Python. Ratios carry over to other machines; seconds do not.\n",
    ]
    for section, rows in figures.items():
        measured = sorted({row["measured"] for row in rows.values()})
        parts += [f"## {section}\n", table(rows), f"Measured on {'; '.join(measured)}.\n"]
    return "\n".join(parts)


def table(rows: dict[str, dict[str, str]]) -> str:
    """Rows of one section in Markdown."""
    lines = ["| what | reference | Quartet | target | reached |", "|---|---|---|---|---|"]
    lines += [
        " | ".join(["| " + what, *(row[name] for name in COLUMNS)]) + " |"
        for what, row in rows.items()
    ]
    return "\n".join(lines) + "\n"


def with_figures(readme: str, figures: Figures) -> str:
    """The README with all rows in the place of those it has."""
    rows = {what: row for section in figures.values() for what, row in section.items()}
    return MARKED.sub(lambda found: found[1] + table(rows) + found[2], readme)
