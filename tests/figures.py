"""Write the measured figures and the pages that show them."""

from __future__ import annotations

import datetime
import json
import os
import platform
import re
from collections import Counter
from importlib.metadata import version
from pathlib import Path

from support import ROOT

FIGURES = ROOT / "docs/benchmarks.json"
PAGE = ROOT / "docs/benchmarks.md"
README = ROOT / "README.md"
MARKED = re.compile(r"(<!-- figures: begin -->\n).*(<!-- figures: end -->)", re.DOTALL)

Figures = dict[str, dict[str, dict[str, str]]]
COLUMNS = ("reference", "quartet", "target", "reached")
PACKAGES = ("kedro", "lightgbm", "mlflow", "numpy", "optuna", "pandas", "scikit-learn", "torch")
"""Packages whose versions affect the figures."""

HEADLINES = {
    "MNIST training": {
        "convolutional network, test accuracy, mean of 3 seeds": "digits: test accuracy",
        "sweep of 8 strengths and refit, against one fit of the recipe": (
            "digits: search over 8 regularisation strengths, against one fit of the reference"
        ),
        "convolutional network, search and training, against one fit of the recipe": (
            "digits: search and training of the network, against one fit of the reference"
        ),
    },
    "FAQ matching": {
        "gain@1 on StackFAQ, mean of 5 seeded splits": "questions: gain@1 on StackFAQ",
        "gain@1 on StackFAQ with all-MiniLM-L6-v2, mean of 5 seeded splits; its questions may be "
        "in the encoder's training data": (
            "questions: the same with a sentence encoder, perhaps trained on these questions"
        ),
        "a trial of 1000 trees on StackFAQ, features included, mean of 50 trials": (
            "questions: a trial of 1,000 trees"
        ),
    },
    "Sensor models": {
        "false alarms on later normal windows, nu 1%: the reference's 15 sensors, 60 s windows": (
            "sensors: false alarms, target 1%, on the reference's readings"
        ),
        "scoring 50,000 sensors x 60 windows, the same from the table of windows to that of "
        "predictions": "sensors: 3 million windows scored, table to table",
    },
    "Sensors: detection": {
        "event F1, two machines of SMD, windows against the 2 hours before": (
            "sensors: event F1 on two servers (SMD)"
        ),
        "event F1, seven series of NAB, windows as they are": (
            "sensors: event F1 on seven series (NAB)"
        ),
        "event F1 of devices at the defaults, two machines of SMD": (
            "sensors: event F1 of devices at the defaults (SMD)"
        ),
        "false alarms of devices at the defaults, multiple of nu, seven series of NAB": (
            "sensors: false alarms of devices at the defaults, multiple of nu (NAB)"
        ),
    },
    "Style transfer": {
        "frames/s from decoding to the checked file, int8, 2 threads: 132 frames of "
        "1280×720, width 16": "videos: frames a second at 1280×720, file to file, int8",
        "frames/s from decoding to the checked file, auto (int8, 3 residual blocks bfloat16), "
        "2 threads: 132 frames of 1280×720, width 16": (
            "videos: the same at the default precision"
        ),
        "peak memory of a run on 720p with default parameters, width 16: 5 s, 30 s": (
            "videos: peak memory at 1280×720, 5 s and 30 s"
        ),
    },
    "Serving": {
        "10,000 images by a linear model, with probabilities and checks, in requests of 1,000; "
        "against one JSON of all as in Microsoft's tutorial, labels only": (
            "digits: 10,000 images by a served model"
        ),
    },
}
"""By section and row of the figures: their titles in the README."""


MISSED = {"no": ": missed", "target yes, aim no": " (aim missed)"}
"""By the benchmark's result: the text after the target in the README."""


def write_figure(
    section: str,
    what: str,
    *,
    file: Path,
    quartet: str,
    reference: str = "–",
    target: str = "–",
    reached: bool | str = "–",
) -> None:
    """Add a row to the figures and rewrite the pages.

    Args:
        section: Heading on the page.
        what: What was measured; a row of the same name is replaced.
        file: The benchmark that measured it.
        quartet: Figure of this project.
        reference: Figure of the reference recipe.
        target: Target of this project.
        reached: Whether the target was reached.
    """
    figures = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    figures.setdefault(section, {})[what] = {
        "reference": reference,
        "quartet": quartet,
        "target": target,
        "reached": reached if isinstance(reached, str) else format_reached(reached),
        "measured": f"{today}, {read_machine()}",
        "versions": read_versions(),
        "file": str(file.relative_to(ROOT)),
    }
    FIGURES.write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n")
    PAGE.write_text(format_page(figures))
    README.write_text(insert_figures(README.read_text(), figures))


def format_reached(reached: bool) -> str:
    """Return the word of the table for a target that was or was not reached."""
    return "yes" if reached else "no"


def read_machine() -> str:
    """Return the processor of this machine."""
    text = Path("/proc/cpuinfo").read_text()
    model = next(line for line in text.splitlines() if line.startswith("model name"))
    amx = ", AMX" if "amx_bf16" in text else ""
    return f"{os.cpu_count()} cores of {model.split(':')[1].strip()}{amx}, {platform.system()}"


def read_versions() -> str:
    """Return the versions of Python and of the packages that affect the figures."""
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return f"Python {platform.python_version()}, {packages}"


def format_page(figures: Figures) -> str:
    """Format the page of the documentation."""
    parts = [
        "# Benchmarks\n",
        "Measured by `make bench`, which also writes this page, each beside the recipe of the "
        "reference system, in the same process where both are Python. Ratios carry over to other "
        "machines; seconds do not. One section alone is measured by the command below it.\n",
    ]
    for section, rows in figures.items():
        parts += [f"## {section}\n", format_table(rows)]
        measured = "; ".join(sorted({row["measured"] for row in rows.values()}))
        parts.append(f"Measured on {measured}.\n")
        files = " ".join(sorted({row["file"] for row in rows.values()}))
        parts += [f"```\npytest --benchmarks {files}\n```\n"]
    return "\n".join([*parts, "## Versions\n", format_versions(figures)])


def format_versions(figures: Figures) -> str:
    """List the sections that were measured with each set of versions."""
    sections: dict[str, list[str]] = {}
    for section, rows in figures.items():
        for versions in sorted({row["versions"] for row in rows.values()}):
            sections.setdefault(versions, []).append(section)
    lines = (f"- {versions}: {'; '.join(names)}" for versions, names in sections.items())
    return "\n".join(lines) + "\n"


def format_table(rows: dict[str, dict[str, str]]) -> str:
    """Format the rows of a section as a Markdown table."""
    lines = ["| what | reference | Quartet | target | reached |", "|---|---|---|---|---|"]
    lines += [
        " | ".join(["| " + what, *(row[name] for name in COLUMNS)]) + " |"
        for what, row in rows.items()
    ]
    return "\n".join(lines) + "\n"


def insert_figures(readme: str, figures: Figures) -> str:
    """Replace the headlines of the README, if it has any.

    Raises:
        KeyError: The row of a headline is missing.
    """
    if not MARKED.search(readme):
        return readme  # of a project that was made from this one
    rows = {
        title: figures[section][what]
        for section, titles in HEADLINES.items()
        for what, title in titles.items()
    }
    lines = ["| what | reference | Quartet | target |", "|---|---|---|---|"]
    for title, row in rows.items():
        target = row["target"] + MISSED.get(row["reached"], "")
        lines.append(f"| {title} | {row['reference']} | {row['quartet']} | {target} |")
    made = "\n".join([*lines, "", format_machines([row["measured"] for row in rows.values()]), ""])
    return MARKED.sub(lambda found: found[1] + made + found[2], readme)


def format_machines(measured: list[str]) -> str:
    """Name the machine of most rows and those of the other rows in a sentence."""
    names = [each.partition(", ")[2] for each in measured]
    usual, *others = (name for name, _ in Counter(names).most_common())
    parts = [f"On {usual}"]
    for other in others:
        rows = [str(number) for number, name in enumerate(names, 1) if name == other]
        parts.append(f"row{'s' * (len(rows) > 1)} {' and '.join(rows)} on {other}")
    return "; ".join(parts) + "."
