"""Keeps third parties quiet, where the noise arises, about what only their makers can change."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

PLUGIN = "kedro_mlflow"
_ADVISED = f"{PLUGIN}.mlflow.kedro_pipeline_model"
_OF_SERVERS = (
    "ignore:ORJSONResponse is deprecated",  # FastAPI, to Kedro-Viz
    "ignore:starlette.middleware.wsgi is deprecated",  # Starlette, to MLflow
)


def quiet_servers() -> None:
    """Let Kedro-Viz and MLflow start without their libraries' advice to their makers.

    Their servers are processes of their own, which import those before they look at the project.
    """
    told = os.environ.get("PYTHONWARNINGS", "")
    missing = [rule for rule in _OF_SERVERS if rule not in told]
    if missing:
        os.environ["PYTHONWARNINGS"] = ",".join(filter(None, (told, *missing)))


def quiet_kedro_mlflow() -> None:
    """From now on, let kedro-mlflow be imported without its noise, whoever imports it.

    On import MLflow advises on a class inside the plugin, with a filter of its own before which
    others count for nothing, and the plugin sets its own logger to tell every detail.
    """
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    """Finds the plugin, and the module that MLflow advises on."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in (PLUGIN, _ADVISED):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Quietly(spec.loader)
        return spec


class _Quietly(Loader):
    """Runs a module and keeps its warnings to itself."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        with warnings.catch_warnings(record=True):
            self._loader.exec_module(module)
        logging.getLogger(PLUGIN).setLevel(logging.WARNING)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)  # the source, for tracebacks and `inspect`
