"""Render the notebooks as pages of the site, with their outputs if they are to be run."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbconvert import MarkdownExporter

_TIMEOUT_S = 600
"""Limit of a cell, in seconds."""
_NOT_RUN = """
!!! note

    This site was built without running the notebooks; open this one to see its results.

"""


def to_page(path: Path, project: Path | None) -> tuple[str, dict[str, bytes]]:
    """Return a notebook as Markdown, and its pictures by name.

    Args:
        path: The notebook.
        project: The folder to run it in, in which `kedro run` has run; None to leave out outputs.

    Raises:
        CellExecutionError: A cell fails.
    """
    notebook = nbformat.read(path, as_version=4)
    if project is not None:
        resources = {"metadata": {"path": str(project)}}
        NotebookClient(
            notebook, timeout=_TIMEOUT_S, kernel_name="python3", resources=resources
        ).execute()
    pictures = f"{path.stem}_files"
    body, found = MarkdownExporter().from_notebook_node(
        notebook, {"output_files_dir": pictures, "unique_key": path.stem}
    )
    # The theme lays out tables that have no style of their own.
    body = re.sub(r"<style scoped>.*?</style>\n", "", body, flags=re.DOTALL)
    body = body.replace('<table border="1" class="dataframe">', "<table>")
    if project is None:  # the note is below the title, which is the first line
        title, _, rest = body.lstrip().partition("\n")
        body = f"{title}\n{_NOT_RUN}{rest.lstrip()}"
    return body, found["outputs"]
