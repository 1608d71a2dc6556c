"""Find, before any work is done, what would make a run fail at its end."""

from __future__ import annotations

import difflib
import logging
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.framework.hooks import hook_impl
from kedro.framework.project import settings

from kedro_cloud.compat import dataset_file
from kedro_cloud.core import config, ranks, tracking_database
from kedro_cloud.core.hooks import NoTracking

if TYPE_CHECKING:
    from kedro.framework.context import KedroContext
    from kedro.io import CatalogProtocol
    from kedro.pipeline import Pipeline


logger = logging.getLogger(__name__)


class PreflightHooks:
    """Finds, before any work is done, what would make a run fail at its end."""

    @hook_impl(tryfirst=True)
    def after_context_created(self, context: KedroContext) -> None:
        """Refuse parameters that no pipeline knows, and an unreadable tracking database."""
        _check_parameters(context)
        tracking = context.config_loader["mlflow"]
        server = tracking.get("server") or {}
        uri = server.get("mlflow_tracking_uri") or ""
        tracking_database.check_address(uri)
        file = config.sqlite_file(uri, context.project_path)
        if file is None:
            return
        tracking_database.check_database(file)
        if ranks.rank() == 0 and not any(isinstance(h, NoTracking) for h in settings.HOOKS):
            tracking_database.create_database(file)
        if Path.cwd() != context.project_path:
            # MLflow takes the path for one below the folder that the command is given in.
            query = "".join(uri.partition("?")[1:])
            server = {**server, "mlflow_tracking_uri": f"{config.SQLITE}{file}{query}"}
            context.config_loader["mlflow"] = {**tracking, "server": server}

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]) -> None:
        """Refuse to start when an output's folder cannot be written, or an input is no good."""
        for name in sorted(pipeline.all_outputs()):
            protocol, path = dataset_file(catalog.get(name)) or ("", "")
            if protocol == "file":
                _check_writable(name, Path(path))
        for name in sorted(pipeline.inputs()):
            if getattr(catalog.get(name), "checked_at_start", False):
                catalog.load(name)


def _check_parameters(context: KedroContext) -> None:
    loader: Any = context.config_loader
    given = loader.runtime_params
    if not given:
        return
    plain = type(loader)(str(loader.conf_source), env=loader.env, **settings.CONFIG_LOADER_ARGS)
    known = set(_paths(plain["parameters"])) | _catalog_parameters(Path(loader.conf_source))
    for name in _paths(given, leaves_only=True):
        if name not in known:
            close = difflib.get_close_matches(name, sorted(known), n=1)
            hint = f"did you mean '{close[0]}'?" if close else f"known: {', '.join(sorted(known))}"
            raise ValueError(f"parameter '{name}' is not known; {hint}")


def _paths(tree: Mapping[str, Any], leaves_only: bool = False) -> Iterator[str]:
    """Dotted names of all entries of a nested mapping."""
    for key, value in tree.items():
        if not (leaves_only and isinstance(value, Mapping) and value):
            yield key
        if isinstance(value, Mapping):
            yield from (f"{key}.{rest}" for rest in _paths(value, leaves_only))


def _catalog_parameters(conf_source: Path) -> set[str]:
    """Names that the catalogs take from `--params` through `${runtime_params:NAME,…}`."""
    texts = (path.read_text(encoding="utf-8") for path in conf_source.rglob("*.yml"))
    return {name for text in texts for name in re.findall(r"\$\{runtime_params:\s*([\w.]+)", text)}


def _check_writable(name: str, path: Path) -> None:
    """Raise unless the file's folder exists or can be made, and takes new files."""
    folder = path.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(
            f"dataset '{name}': its folder {folder} cannot be made ({error.strerror}); make it, or "
            "choose another root in globals.yml"
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ValueError(
            f"dataset '{name}': its folder {folder} cannot be written by this user; change its "
            "permissions, or choose another root in globals.yml"
        )
