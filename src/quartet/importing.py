"""Lets modules of third parties be imported in a context, whoever imports them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

Context = Callable[[], AbstractContextManager[None]]


def import_within(
    context: Context, modules: Collection[str], unless: Callable[[], bool] = lambda: False
) -> None:
    """From now on, have modules run in a context; those already imported have run.

    Args:
        context: Makes one, for each module anew. To name the same one again changes nothing.
        modules: Their full names.
        unless: Whether a module is to be imported as ever, after all.
    """
    if not any(isinstance(each, _Finder) and each.context is context for each in sys.meta_path):
        sys.meta_path.insert(0, _Finder(context, modules, unless))


class _Finder(MetaPathFinder):
    """Finds the modules where they are found otherwise, and has them run in the context."""

    def __init__(
        self, context: Context, modules: Collection[str], unless: Callable[[], bool]
    ) -> None:
        self.context = context
        self._modules = modules
        self._unless = unless

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self._modules or self._unless():
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Within(self.context, spec.loader)
        return spec


class _Within(Loader):
    """Runs a module in the context."""

    def __init__(self, context: Context, loader: Loader) -> None:
        self._context = context
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        with self._context():
            self._loader.exec_module(module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)  # the source, for tracebacks and `inspect`
