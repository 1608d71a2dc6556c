"""Takes results out of notebooks before they are committed: `strip_notebooks.py NOTEBOOK…`.

Ends with exit code 1 if there were any, as pre-commit wants it: look at what is left, add it again.
"""

import json
import sys
from pathlib import Path
from typing import Any


def strip(notebook: dict[str, Any]) -> dict[str, Any]:
    """The notebook less outputs, counts and times of execution, and the version of Python."""
    metadata = dict(notebook["metadata"])
    if "language_info" in metadata:
        metadata["language_info"] = {"name": metadata["language_info"]["name"]}
    return {
        **notebook,
        "cells": [strip_cell(cell) for cell in notebook["cells"]],
        "metadata": metadata,
    }


def strip_cell(cell: dict[str, Any]) -> dict[str, Any]:
    """A cell of text as it is; one of code without its results."""
    if cell["cell_type"] != "code":
        return cell
    metadata = {key: value for key, value in cell["metadata"].items() if key != "execution"}
    return {**cell, "execution_count": None, "metadata": metadata, "outputs": []}


def main(paths: list[Path]) -> int:
    """Strip these files where they lie; 1 if one was changed, else 0."""
    changed = 0
    for path in paths:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        stripped = strip(notebook)
        if stripped != notebook:
            text = json.dumps(stripped, indent=1, ensure_ascii=False) + "\n"
            path.write_text(text, encoding="utf-8")
            print(f"{path}: results taken out")
            changed = 1
    return changed


if __name__ == "__main__":
    sys.exit(main([Path(name) for name in sys.argv[1:]]))
