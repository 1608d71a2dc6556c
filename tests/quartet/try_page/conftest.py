"""Restore Python's state after tests of the page, as processes of other tests inherit it."""

import os
import sys

import pytest


@pytest.fixture(autouse=True)
def restored_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Restore the main module, which Streamlit replaces, and the paths that Kedro extends."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("PYTHONPATH", os.environ.get("PYTHONPATH", ""))
