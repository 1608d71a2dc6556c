"""Benchmarks run with `--benchmarks` only, and write their figures into the documentation."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import pytest

import quartet.settings  # noqa: F401  sets OpenMP's wait policy, as a run does, before PyTorch
from figures import write_figure


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect benchmarks, rather than skip them, without `--benchmarks`."""
    here = Path(__file__).parent
    if not config.getoption("--benchmarks"):
        kept = [item for item in items if here not in item.path.parents]
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = kept


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Write one row: what was measured, the reference's figure, ours, and the target."""
    return functools.partial(write_figure, file=request.path)
