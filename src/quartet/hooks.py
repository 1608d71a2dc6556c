"""What happens around every run: checks before it, tracking and company during it, errors after."""

from __future__ import annotations

import difflib
import fcntl
import logging
import os
import re
import sys
from collections.abc import Generator, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.framework.hooks import hook_impl
from kedro.framework.project import settings

from quartet import configuration, distributed, tracking_database
from quartet.node_start import NodeStart

if TYPE_CHECKING:
    from kedro.framework.context import KedroContext
    from kedro.io import CatalogProtocol
    from kedro.pipeline import Pipeline
    from kedro.pipeline.node import Node


logger = logging.getLogger(__name__)


class PreflightHooks:
    """Finds, before any work is done, what would make a run fail at its end."""

    @hook_impl(tryfirst=True)
    def after_context_created(self, context: KedroContext) -> None:
        """Refuse parameters that no pipeline knows, and an unreadable tracking database."""
        _refuse_unknown_parameters(context)
        tracking = context.config_loader["mlflow"]
        server = tracking.get("server") or {}
        uri = server.get("mlflow_tracking_uri") or ""
        tracking_database.check_address(uri)
        file = configuration.sqlite_file(uri, context.project_path)
        if file is None:
            return
        tracking_database.check_database(file)
        if distributed.rank() == 0 and not any(isinstance(h, NoTracking) for h in settings.HOOKS):
            tracking_database.create_database(file)
        if Path.cwd() != context.project_path:
            # MLflow takes the path for one below the folder that the command is given in.
            query = "".join(uri.partition("?")[1:])
            server = {**server, "mlflow_tracking_uri": f"{configuration.SQLITE}{file}{query}"}
            context.config_loader["mlflow"] = {**tracking, "server": server}

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]) -> None:
        """Refuse to start when an output's folder cannot be written, or an input is no good."""
        for name in sorted(pipeline.all_outputs()):
            dataset = catalog.get(name)
            path = getattr(dataset, "_filepath", None)
            if path is not None and getattr(dataset, "_protocol", "file") == "file":
                _refuse_unwritable(name, Path(str(path)))
        for name in sorted(pipeline.inputs()):
            if getattr(catalog.get(name), "checked_at_start", False):
                catalog.load(name)


def _refuse_unknown_parameters(context: KedroContext) -> None:
    given = context._runtime_params or {}
    if not given:
        return
    loader: Any = context.config_loader
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


def _refuse_unwritable(name: str, path: Path) -> None:
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


class TurnHooks:
    """Lets runs that begin at the same time set up tracking one after the other.

    MLflow makes its tables, and kedro-mlflow its experiment, as if nobody else did: in a new
    project the second of two runs would fail.
    """

    @hook_impl(wrapper=True)
    def after_context_created(self, context: KedroContext) -> Generator[None, Any, Any]:
        """Wait for one's turn; a run that dies gives it up. Ranks have but one that tracks."""
        if distributed.rank() > 0:
            return (yield)
        folder = os.open(context.project_path, os.O_RDONLY)
        try:
            with suppress(OSError):  # some file systems of other machines have no locks
                fcntl.flock(folder, fcntl.LOCK_EX)
            return (yield)
        finally:
            os.close(folder)


class NoTracking:
    """Takes kedro-mlflow's place: Kedro does not even import hooks of a name that is taken."""

    __name__ = "mlflow_hook"  # as the plugin's entry point is called


class LogHooks(NodeStart):
    """Logs each node in one line; Kedro's own three lines name every dataset of it."""

    def __init__(self) -> None:
        super().__init__()
        self._numbers: dict[str, str] = {}

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline) -> None:
        """Number the nodes in the order in which they run."""
        nodes, rank = pipeline.nodes, distributed.rank()
        on = f", rank {rank} of {distributed.size()}" if distributed.size() > 1 else ""
        self._numbers = {
            node.name: f" ({number} of {len(nodes)}{on})" for number, node in enumerate(nodes, 1)
        }
        self.clear_starts()

    def on_node_start(self, node: Node) -> None:
        """Log the node's name and its place in the run."""
        logger.info("Running node: %s%s", node.name, self._numbers.get(node.name, ""))


class TrackingHooks:
    """Logs metrics and figures to the MLflow run that kedro-mlflow has opened."""

    @hook_impl(wrapper=True)
    def before_pipeline_run(self) -> Generator[None, Any, Any]:
        """Tag the run with its process, and end those whose process was killed.

        Of databases on this machine only: a server's runs are ended by whoever runs the server.
        """
        if distributed.rank() > 0:
            return (yield)
        import mlflow

        if not mlflow.get_tracking_uri().startswith(configuration.SQLITE):
            return (yield)
        with tracking_database.tagged_process():
            result = yield
        run = mlflow.active_run()
        if run is not None and (ended := tracking_database.end_killed_runs(run.info.experiment_id)):
            logger.info("Marked %d earlier run(s) as KILLED: the process has ended", ended)
        return result

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any) -> None:
        """Log a `*_metrics` mapping as metrics and a matplotlib figure as an image.

        Several pipelines may share a run, so a metric carries its pipeline's name,
        `faq_tuning/test_gain_at_1`, by which MLflow's pages also group them.
        """
        is_metrics = dataset_name.endswith("_metrics")
        is_figure = type(data).__module__ == "matplotlib.figure"
        if not (is_metrics or is_figure) or distributed.rank() > 0:
            return
        import mlflow

        if mlflow.active_run() is None:
            return
        if is_metrics:
            pipeline = dataset_name.removesuffix("_metrics")
            mlflow.log_metrics({f"{pipeline}/{name}": value for name, value in data.items()})
        else:
            mlflow.log_figure(data, f"figures/{dataset_name}.png")


class DistributedHooks:
    """Keeps MPI ranks together: they meet before shared nodes, and only the first one writes."""

    def __init__(self) -> None:
        self._met: set[str] = set()

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]) -> None:
        """Let the other ranks keep their copies of the outputs to themselves."""
        self._met.clear()
        if distributed.rank() > 0:
            for name in pipeline.all_outputs():
                dataset: Any = catalog.get(name)
                dataset.save = _discard

    @hook_impl
    def before_dataset_loaded(self, dataset_name: str, node: Node) -> None:
        """Wait at a shared node's first input: the first rank has then written all of them."""
        if distributed.TAG in node.tags and node.name not in self._met:
            self._met.add(node.name)
            distributed.barrier()

    @hook_impl(trylast=True)
    def on_pipeline_error(self, error: Exception) -> None:
        """End all ranks with this one; they would wait for it for ever."""
        if distributed.size() > 1:
            from quartet.messages import describe

            report = f"Error: rank {distributed.rank()}: {describe(error)}"
            print(report, file=sys.stderr, flush=True)
            distributed.abort()


def _discard(data: Any) -> None:
    """Save nothing."""


class ErrorContextHooks:
    """Adds to an exception which node it came from, for the one-line report."""

    @hook_impl
    def on_node_error(self, error: Exception, node: Node) -> None:
        """Name the node and the datasets it received; Kedro itself names those it loads."""
        datasets = [name for name in node.inputs if not name.startswith("params:")]
        error.add_note(f"node '{node.short_name}' ({', '.join(datasets)})")
