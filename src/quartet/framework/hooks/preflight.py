"""Check parameters, tracking and outputs before the first node runs."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.config import OmegaConfigLoader
from kedro.framework.hooks import hook_impl
from kedro.framework.project import settings

from kedro_cloud.compat import dataset_file
from kedro_cloud.core import config, config_files, ranks, tracking_database
from kedro_cloud.core.hooks import NoTracking
from quartet.framework import config_loader
from quartet.framework.config_types import check_types

if TYPE_CHECKING:
    from kedro.framework.context import KedroContext
    from kedro.io import CatalogProtocol
    from kedro.pipeline import Pipeline


class PreflightHooks:
    """Check parameters, tracking and outputs before the first node runs."""

    def __init__(self) -> None:
        self._database: Path | None = None

    @hook_impl(tryfirst=True)
    def after_context_created(self, context: KedroContext) -> None:
        """Check configuration files, runtime parameters and the tracking database.

        Raises:
            ValueError: An entry of a file has another type, a parameter is unknown, or the
                database cannot be used.
        """
        loader = context.config_loader
        if isinstance(loader, OmegaConfigLoader):  # others may read no files
            env = loader.env or loader.default_run_env or loader.base_env
            check_types(Path(loader.conf_source), loader.base_env or env, env)
        _check_parameters(context)
        tracking = context.config_loader["mlflow"]
        is_tracked = not any(isinstance(hooks, NoTracking) for hooks in settings.HOOKS)
        if is_tracked:  # MLflow is imported in any case
            _check_tracking(tracking, loader)
        server = tracking.get("server") or {}
        uri = server.get("mlflow_tracking_uri") or ""
        tracking_database.check_address(uri)
        file = config.sqlite_file(uri, context.project_path)
        if file is None:
            return
        tracking_database.check_database(file)
        if ranks.rank() == 0 and is_tracked:
            tracking_database.create_database(file)
            self._database = file
        if Path.cwd() != context.project_path:
            # MLflow resolves a relative path from the working directory.
            query = "".join(uri.partition("?")[1:])
            server = {**server, "mlflow_tracking_uri": f"{config.SQLITE}{file}{query}"}
            context.config_loader["mlflow"] = {**tracking, "server": server}

    @hook_impl(tryfirst=True)  # before kedro-mlflow opens its run
    def before_pipeline_run(self, pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]) -> None:
        """Check that output folders and the tracking database are writable.

        Raises:
            ValueError: An output folder cannot be created or written, or the database is read-only.
        """
        if self._database:
            tracking_database.check_writable(self._database)
        for name in sorted(pipeline.all_outputs()):
            protocol, path = dataset_file(catalog.get(name)) or ("", "")
            if protocol == "file":
                _check_writable(name, Path(path))


def _check_tracking(tracking: Mapping[str, Any], loader: Any) -> None:
    """Raise if a setting of `mlflow.yml` is unknown or invalid, with the files."""
    from kedro_mlflow.config.kedro_mlflow_config import (  # type: ignore[import-untyped]
        KedroMlflowConfig,
    )
    from pydantic import ValidationError

    try:
        KedroMlflowConfig.model_validate(tracking)
    except ValidationError as error:
        folders = config.folders(loader)
        raise ValueError(config_files.format_invalid(folders, "mlflow*", error)) from error


def _check_parameters(context: KedroContext) -> None:
    """Raise if a runtime parameter is in neither parameters nor catalogs, with the closest name."""
    loader: Any = context.config_loader
    given = loader.runtime_params
    if not given:
        return
    # The name is kept, as the last loader provides `${globals:…}` to the others of the process.
    kept = {key: value for key, value in given.items() if key == config_loader.PARAMETER}
    without_given = type(loader)(
        str(loader.conf_source), env=loader.env, runtime_params=kept, **settings.CONFIG_LOADER_ARGS
    )
    known = set(_list_names(without_given["parameters"]))
    known |= _catalog_parameters(Path(loader.conf_source))
    known.add(config_loader.PARAMETER)
    for name in _list_names(given, leaves_only=True):
        if name not in known:
            close = difflib.get_close_matches(name, sorted(known), n=1)
            hint = (
                f"did you mean '{close[0]}'?"
                if close
                else f"expected one of {', '.join(sorted(known))}"
            )
            raise ValueError(f"parameter '{name}' does not exist; {hint}")


def _list_names(tree: Mapping[str, Any], leaves_only: bool = False) -> Iterator[str]:
    """Yield the dotted names of all entries of a nested mapping."""
    for key, value in tree.items():
        if not (leaves_only and isinstance(value, Mapping) and value):
            yield key
        if isinstance(value, Mapping):
            yield from (f"{key}.{rest}" for rest in _list_names(value, leaves_only))


def _catalog_parameters(conf_source: Path) -> set[str]:
    """Return the names that catalogs use as `${runtime_params:NAME,…}`."""
    texts = (
        path.read_text(encoding="utf-8", errors="backslashreplace")
        for path in conf_source.rglob("*.yml")
        if path.is_file()
    )
    return {name for text in texts for name in re.findall(r"\$\{runtime_params:\s*([\w.]+)", text)}


def _check_writable(name: str, path: Path) -> None:
    """Create the folder of a file; raise ValueError if that fails or it is not writable."""
    folder = path.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(
            f"dataset '{name}': folder {folder} cannot be created ({error.strerror}); create it or "
            "choose another root in globals.yml"
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ValueError(
            f"dataset '{name}': folder {folder} is not writable for this user; change its "
            "permissions, or choose another root in globals.yml"
        )
