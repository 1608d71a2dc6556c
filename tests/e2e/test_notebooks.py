"""Notebooks run after a sample run and draw their figures."""

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from support import GUARD_S, ROOT, clean_environment

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SECTIONS_WITH_FIGURES = {
    "00_tour": [
        "One door to all data",
        "Digits: what the better classifier is least sure of",
        "Questions: has this been asked before?",
        "Sensors: which of them behaved unlike themselves, and when",
        "Videos: the same in the style of a painting",
    ],
    "01_mnist": [
        "The digits",
        "How many of each",
        "Choosing the penalty",
        "Training the network",
        "Confusion matrices",
        "Error rates",
        "Worst mistakes",
        "The registered model",
    ],
    "02_faq": [
        "The questions",
        "What the ranker sees",
        "The study",
        "Beside simpler methods",
        "Can the probabilities be trusted?",
        "The hardest originals",
    ],
    "03_sensors": [
        "What came in",
        "Normal days",
        "The models",
        "What a model has learned",
        "What was found",
        "How strange is strange?",
        "Which anomalies were found, and when",
        "Has anything moved?",
    ],
    "04_style": [
        "Before and after",
        "When each frame is shown",
        "The preview",
        "Where the time went",
        "How steady it is",
        "Where it flickers most",
        "Smoothing",
        "Every style",
    ],
}
"""By notebook: the sections that draw a figure."""


def by_name(path: Path) -> str:
    return path.stem


def figures_by_section(notebook: nbformat.NotebookNode) -> dict[str, int]:
    """Return the number of images in each section of the second level."""
    section, figures = "", {"": 0}
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for heading in re.findall(r"^## (.+)$", cell.source, flags=re.MULTILINE):
                section = heading
                figures[section] = 0
        else:
            figures[section] += sum("image/png" in data_of(output) for output in cell.outputs)
    return figures


def data_of(output: Any) -> dict[str, Any]:
    return output.get("data", {})


@pytest.mark.integration
@pytest.mark.parametrize("path", NOTEBOOKS, ids=by_name)
def test_notebook_runs_after_a_sample_run_and_draws_its_figures(
    path: Path, trained_workspace: Path
) -> None:
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook,
        timeout=GUARD_S,
        kernel_name="python3",
        resources={"metadata": {"path": str(trained_workspace)}},
    ).execute(env=clean_environment())
    figures = figures_by_section(notebook)
    bare = [section for section in SECTIONS_WITH_FIGURES[path.stem] if not figures.get(section)]
    assert bare == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=by_name)
def test_committed_notebook_has_no_outputs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code
    assert [cell.source for cell in code if cell.outputs or cell.execution_count is not None] == []


def test_figures_of_every_notebook_are_listed() -> None:
    assert {path.stem for path in NOTEBOOKS} == SECTIONS_WITH_FIGURES.keys()
    assert all(SECTIONS_WITH_FIGURES.values())
