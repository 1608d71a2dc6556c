"""The site has a page for each notebook, with its results where they were computed."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError

from docs.pages import DOCS

pytest.importorskip("nbconvert", reason="nbconvert is not installed: make setup")
sys.path.append(str(DOCS))
notebooks = importlib.import_module("generators.notebooks")
hooks = importlib.import_module("hooks")
sys.path.pop()

DRAW = """%matplotlib inline
import os
import matplotlib.pyplot as plt
import pandas as pd
plt.plot([1, 2])
print(sorted(os.listdir()))
pd.DataFrame({"a": [1]})"""


def write(folder: Path, *cells: str) -> Path:
    """Write a notebook with a title and these cells of code."""
    code = [nbformat.v4.new_code_cell(cell) for cell in cells]
    title = nbformat.v4.new_markdown_cell("# A title\n\nA text.")
    path = folder / "02_mine.ipynb"
    metadata = {"language_info": {"name": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=[title, *code], metadata=metadata), path)
    return path


def test_page_of_a_notebook_without_results_shows_its_code_and_a_note(tmp_path: Path) -> None:
    text, pictures = notebooks.to_page(write(tmp_path, "1 + 1"), None)
    assert text.startswith("# A title\n\n!!! note\n\n    This site was built without running ")
    assert "A text.\n" in text
    assert "```python\n1 + 1\n```" in text
    assert pictures == {}


@pytest.mark.integration
def test_page_of_an_executed_notebook_shows_its_output_and_figures(tmp_path: Path) -> None:
    project = tmp_path / "project"
    (project / "conf").mkdir(parents=True)
    text, pictures = notebooks.to_page(write(tmp_path, DRAW), project)
    assert "    ['conf']\n" in text
    assert "<table>\n" in text  # the theme's own, without a class or style
    assert "<style" not in text
    assert "!!! note" not in text
    ((name, content),) = pictures.items()
    assert f"]({name})" in text
    assert name.startswith("02_mine_files/")
    assert content.startswith(b"\x89PNG")


@pytest.mark.integration
def test_a_failing_notebook_fails_the_build_of_the_site(tmp_path: Path) -> None:
    with pytest.raises(CellExecutionError, match="no results"):
        notebooks.to_page(write(tmp_path, "raise ValueError('no results')"), tmp_path)


def test_links_to_notebooks_lead_to_their_pages_on_the_site() -> None:
    text = "[tour](../notebooks/00_tour.ipynb), [sensors](../../notebooks/03_sensors.ipynb)"
    assert hooks.NOTEBOOK_LINK.sub(r"](notebooks/\1.md)", text) == (
        "[tour](notebooks/00_tour.md), [sensors](notebooks/03_sensors.md)"
    )
