"""Provide the code that serves a model: the package `scoring`, without the rest of the project."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from kedro_cloud.models.scoring import EXAMPLE

ENTRY = "scoring/serve.py"
"""Path of the server below AML_APP_ROOT."""
MODULE = "scoring.serve"
"""The server as a module, for `python -m`."""
_PACKAGE = Path(__file__).parent / "scoring"


@contextmanager
def copy_code() -> Iterator[Path]:
    """Yield a temporary folder with a copy of the code, laid out as in AML_APP_ROOT."""
    with TemporaryDirectory() as folder:
        root = Path(folder) / "serving"  # Azure ML names the uploaded code after it
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(_PACKAGE, root / _PACKAGE.name, ignore=ignored)
        yield root


def hash_code() -> str:
    """Return the SHA-256 of the code."""
    sha256 = hashlib.sha256()
    for file in sorted(_PACKAGE.glob("*.py")):
        sha256.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return sha256.hexdigest()


def read_example(folder: Path) -> bytes:
    """Return the input example of the model in a folder, as JSON.

    Raises:
        ValueError: The model has no input example.
    """
    files = sorted(folder.rglob(EXAMPLE))
    if not files:
        raise ValueError(
            f"{folder}: the model has no {EXAMPLE} for the test request; register it again"
        )
    return files[0].read_bytes()
