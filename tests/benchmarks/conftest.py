"""Benchmarks run with `--benchmarks` only, and write their figures into the documentation."""

from __future__ import annotations

import functools
from collections.abc import Callable

import pytest

import quartet.settings  # noqa: F401  sets OpenMP's wait policy, as a run does, before PyTorch
from figures import write_figure


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Write one row: what was measured, the reference's figure, ours, and the target."""
    return functools.partial(write_figure, file=request.path)
