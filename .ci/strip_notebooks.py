"""Remove outputs from notebooks before they are committed: `strip_notebooks.py NOTEBOOK…`.

The exit code is 1 if a notebook was changed, as pre-commit expects: review it and add it again.
"""

import json
import sys
from pathlib import Path
from typing import Any


def strip(notebook: dict[str, Any]) -> dict[str, Any]:
    """Return a notebook without outputs, execution counts and times, and the Python version."""
    metadata = dict(notebook["metadata"])
    if "language_info" in metadata:
        metadata["language_info"] = {"name": metadata["language_info"]["name"]}
    return {
        **notebook,
        "cells": [strip_cell(cell) for cell in notebook["cells"]],
        "metadata": metadata,
    }


def strip_cell(cell: dict[str, Any]) -> dict[str, Any]:
    """Return a text cell unchanged, or a code cell without its outputs."""
    if cell["cell_type"] != "code":
        return cell
    metadata = {key: value for key, value in cell["metadata"].items() if key != "execution"}
    return {**cell, "execution_count": None, "metadata": metadata, "outputs": []}


def main(paths: list[Path]) -> int:
    """Strip these files in place; return 1 if one was changed, else 0."""
    changed = 0
    for path in paths:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        stripped = strip(notebook)
        if stripped != notebook:
            text = json.dumps(stripped, indent=1, ensure_ascii=False) + "\n"
            path.write_text(text, encoding="utf-8")
            print(f"{path}: outputs removed")
            changed = 1
    return changed


if __name__ == "__main__":
    sys.exit(main([Path(name) for name in sys.argv[1:]]))
