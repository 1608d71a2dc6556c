"""Tests of the page leave no trace in Python: other tests start processes, which inherit it."""

import os
import sys

import pytest


@pytest.fixture(autouse=True)
def restored_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Restore the main module, which Streamlit replaces, and the paths that Kedro extends."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("PYTHONPATH", os.environ.get("PYTHONPATH", ""))
