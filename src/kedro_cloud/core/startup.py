"""Pause garbage collection during imports, to start runs faster.

Imports create a million objects, which Python's garbage collector traverses again and again
although none is garbage: a quarter of the time until the first node starts.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from kedro.framework.hooks import hook_impl

_paused = False


@contextmanager
def paused_garbage_collection() -> Iterator[None]:
    """Pause garbage collection until the first node starts, or the block ends."""
    global _paused  # noqa: PLW0603  # the garbage collector is global, too
    _paused = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        resume_garbage_collection()


def resume_garbage_collection() -> None:
    """Resume garbage collection, and exclude all existing objects from it."""
    global _paused  # noqa: PLW0603
    if _paused:
        gc.freeze()
        gc.enable()
        _paused = False


class StartHooks:
    """Resume garbage collection when the first node starts."""

    @hook_impl(tryfirst=True)
    def before_dataset_loaded(self) -> None:
        """Resume before the first dataset is loaded, so that unused data are freed."""
        resume_garbage_collection()

    @hook_impl(tryfirst=True)
    def before_node_run(self) -> None:
        """Resume before the first node runs, for nodes without inputs."""
        resume_garbage_collection()
