"""Keeps a run's start quick: no search for garbage while everything is imported.

Importing makes a million objects, and Python's collector walks through all of them time
and again although none is garbage: a quarter of the time until the first node begins.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from kedro.framework.hooks import hook_impl

_paused = False


@contextmanager
def paused_garbage_collection() -> Iterator[None]:
    """Let the collector rest until the first node begins, or the block ends."""
    global _paused  # noqa: PLW0603  # it is the process that has one collector
    _paused = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        resume_garbage_collection()


def resume_garbage_collection() -> None:
    """Let the collector work from now on; what is there by now it need never look at again."""
    global _paused  # noqa: PLW0603
    if _paused:
        gc.freeze()
        gc.enable()
        _paused = False


class StartHooks:
    """Ends the collector's rest when the first node begins."""

    @hook_impl(tryfirst=True)
    def before_dataset_loaded(self) -> None:
        """A node's first dataset: data that it drops must not stay in memory."""
        resume_garbage_collection()

    @hook_impl(tryfirst=True)
    def before_node_run(self) -> None:
        """The same for a node that reads nothing."""
        resume_garbage_collection()
