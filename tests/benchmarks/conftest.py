"""Benchmarks run with `--benchmarks` only, and leave their figures in docs/benchmarks.md."""

from __future__ import annotations

import datetime
import json
import os
import platform
from collections.abc import Callable
from pathlib import Path

import pytest

import quartet.settings  # noqa: F401  sets OpenMP's wait policy, as a run does, before PyTorch
from support import ROOT

FIGURES = ROOT / "docs/benchmarks.json"
PAGE = ROOT / "docs/benchmarks.md"

Record = Callable[..., None]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect, rather than skip: a benchmark that was not asked for is not missing."""
    here = Path(__file__).parent
    if not config.getoption("--benchmarks"):
        kept = [item for item in items if here not in item.path.parents]
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = kept


@pytest.fixture(scope="session")
def record() -> Record:
    """Writes one row: what was measured, the reference's figure, ours, and the target."""

    def write(section: str, what: str, **row: str) -> None:
        figures = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
        now = datetime.datetime.now(datetime.UTC).date().isoformat()
        figures.setdefault(section, {})[what] = {**row, "measured": f"{now}, {machine()}"}
        FIGURES.write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n")
        PAGE.write_text(page(figures))

    return write


def machine() -> str:
    """The processor, as far as speed depends on it."""
    text = Path("/proc/cpuinfo").read_text()
    model = next(line for line in text.splitlines() if line.startswith("model name"))
    amx = ", AMX" if "amx_bf16" in text else ""
    return f"{os.cpu_count()} cores of {model.split(':')[1].strip()}{amx}, {platform.system()}"


def page(figures: dict[str, dict[str, dict[str, str]]]) -> str:
    """The figures as the page of the documentation."""
    lines = [
        "# Benchmarks",
        "",
        "Measured by `make bench`, each beside the recipe of the reference system, in the same "
        "process where both are Python. Ratios carry over to other machines; seconds do not.",
    ]
    for section, rows in figures.items():
        lines += ["", f"## {section}", ""]
        lines += ["| what | reference | Quartet | target | reached |", "|---|---|---|---|---|"]
        columns = ("reference", "quartet", "target", "reached")
        lines += [
            " | ".join(["| " + what, *(row[name] for name in columns)]) + " |"
            for what, row in rows.items()
        ]
        measured = sorted({row["measured"] for row in rows.values()})
        lines += ["", f"Measured on {'; '.join(measured)}."]
    return "\n".join(lines) + "\n"
