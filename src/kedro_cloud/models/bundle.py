"""The code that serves a model: the room `scoring`, and nothing else of the project."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

ENTRY = "scoring/serve.py"
MODULE = "scoring.serve"
EXAMPLE = "serving_input_example.json"
"""In a model's folder: the request that it was registered with."""
_ROOM = Path(__file__).parent / "scoring"


@contextmanager
def bundled() -> Iterator[Path]:
    """A folder with a copy of the code, as the image finds it in AML_APP_ROOT."""
    with TemporaryDirectory() as folder:
        root = Path(folder) / "serving"  # Azure ML calls it the same, and shows it
        target = root / _ROOM.name
        target.mkdir(parents=True)
        for file in _files():
            shutil.copy(file, target)
        yield root


def digest() -> str:
    """SHA-256 of the code."""
    found = hashlib.sha256()
    for file in _files():
        found.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return found.hexdigest()


def example_of(folder: Path) -> bytes:
    """The request that a model was registered with, as JSON.

    Raises:
        ValueError: It was registered without.
    """
    found = sorted(folder.rglob(EXAMPLE))
    if not found:
        raise ValueError(f"{folder}: the model has no {EXAMPLE} to try it with; register it anew")
    return found[0].read_bytes()


def _files() -> list[Path]:
    return sorted(_ROOM.glob("*.py"))
