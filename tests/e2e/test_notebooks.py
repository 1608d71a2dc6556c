"""Notebooks run after a sample run and draw their figures."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from support import GUARD_S, ROOT, clean_environment

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SECTIONS_WITHOUT_FIGURES = {
    "00_tour": {"The pipelines", "What was measured", "Where to go from here"},
    "02_faq": {"Cleaning, and a banner that gives the answer away", "Ask a question of your own"},
    "03_sensors": {"Score a window of your own"},
}
"""By notebook: the sections that need not draw a figure."""


def figures_by_section(notebook: nbformat.NotebookNode) -> dict[str, int]:
    """Return the number of images in each section of the second level."""
    section, figures = "", {}
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for heading in re.findall(r"^## (.+)$", cell.source, flags=re.MULTILINE):
                section = heading
                figures[section] = 0
        elif section:
            figures[section] += sum(
                "image/png" in output.get("data", {}) for output in cell.outputs
            )
    return figures


@pytest.mark.integration
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
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
    assert figures
    bare = {section for section, count in figures.items() if not count}
    assert bare <= SECTIONS_WITHOUT_FIGURES.get(path.stem, set())
