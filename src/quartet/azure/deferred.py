"""Lets kedro-azureml import the Azure SDK when it uses it, not when it is imported itself.

The plugin is part of every run, for its hooks, and of every step on a cluster, which
starts anew each time. But `azure.ai.ml`, more than a second, is only used to translate a
pipeline and to submit it. So while those modules of the plugin are imported that ask for
it, names of the SDK stand for themselves; what they name is imported when one of them is
first called or looked into. All others who import `azure.ai.ml` get it as ever.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from quartet.importing import import_within

SDK = "azure.ai.ml"
ASKING = {
    "kedro_azureml.client",
    "kedro_azureml.datasets.asset_dataset",
    "kedro_azureml.generator",
}
"""Modules of the plugin that import the SDK as they begin."""


def defer_sdk() -> None:
    """From now on, let the plugin's modules wait for the SDK; those already imported have it."""
    import_within(_names_only, ASKING, unless=lambda: SDK in sys.modules)


@contextmanager
def _names_only() -> Iterator[None]:
    finder = _NameFinder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name, module in list(sys.modules.items()):
            if isinstance(module, _NamedModule):
                del sys.modules[name]
        package, _, child = SDK.rpartition(".")
        if isinstance(getattr(sys.modules.get(package), child, None), _NamedModule):
            delattr(sys.modules[package], child)


class _NameFinder(MetaPathFinder, Loader):
    """Finds the SDK and all below it as modules that hold nothing."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname == SDK or fullname.startswith(f"{SDK}."):
            return ModuleSpec(fullname, self, is_package=True)
        return None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _NamedModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """There is nothing to run."""


class _NamedModule(ModuleType):
    """A module of which only the name is known yet."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Named(self.__name__, name)


class _Named:
    """Something of a module that is imported when this is called or looked into."""

    def __init__(self, module: str, name: str) -> None:
        self._module = module
        self._name = name

    def _meant(self) -> Any:
        return getattr(import_module(self._module), self._name)

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return self._meant()(*arguments, **options)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._meant(), name)
