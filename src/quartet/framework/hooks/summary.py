"""Print a summary at the end of a run: main metrics and paths of results, by pipeline.

A run of several pipelines ends in a table of them.

The summary goes to stdout and the log to stderr, so `kedro run > summary.txt` contains the summary
only. The metadata of a pipeline's metrics in the catalog selects main metrics and results:

```yaml
faq_matching_metrics:
  metadata:
    quartet:
      main: [questions, questions_with_probable_match]
      results: [faq_matches]
      found: {matched: questions_with_probable_match}  # for the table: metrics by label
      baselines: {}                                    # the same; the highest is shown
```
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

from kedro.framework.hooks import hook_impl
from kedro.framework.project import pipelines

from kedro_cloud.compat import dataset_file
from kedro_cloud.core import ranks
from kedro_cloud.core.console import align_columns, bold, format_duration
from kedro_cloud.core.hooks import NodeStartHooks
from quartet.datasets.model_card import format_number
from quartet.framework.hooks.scenario_table import Row, format_table

if TYPE_CHECKING:
    from kedro.io import CatalogProtocol
    from kedro.pipeline import Pipeline
    from kedro.pipeline.node import Node

METRICS = "_metrics"
"""Suffix of the dataset with a pipeline's metrics."""
_FIGURE_SUFFIXES = {".png", ".webp", ".jpg", ".svg"}
_DEFAULT = "__default__"


@dataclass
class _NodeRecord:
    """Times and outputs of a node."""

    start: float
    end: float
    saved: dict[str, Any] = field(default_factory=dict)
    """By dataset: the part of the data that the summary shows, or None."""


class SummaryHooks(NodeStartHooks):
    """Record the outputs and time of each node, and print a summary when the run succeeds."""

    def __init__(
        self,
        default_pipelines: Sequence[str],
        current_step: Callable[[], tuple[str, str] | None],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Create the hooks.

        Args:
            default_pipelines: Names of the pipelines in `__default__`.
            current_step: Returns pipeline and step of this process on Azure ML, or None.
            clock: Returns seconds; replaced in tests.
        """
        super().__init__()
        self._default_pipelines = default_pipelines
        self._current_step = current_step
        self._clock = clock
        self._nodes: dict[str, _NodeRecord] = {}

    @hook_impl
    def before_pipeline_run(self) -> None:
        """Clear the records of an earlier run in this process."""
        self._nodes.clear()
        self.clear_starts()

    def on_node_start(self, node: Node) -> None:
        """Record the start time."""
        now = self._clock()
        self._nodes[node.name] = _NodeRecord(now, now)

    @hook_impl(trylast=True)
    def after_node_run(self, node: Node) -> None:
        """Record the end time; a node with outputs ends when the last one is saved."""
        self._nodes[node.name].end = self._clock()

    @hook_impl(trylast=True)
    def after_dataset_saved(self, dataset_name: str, data: Any, node: Node) -> None:
        """Record the end time and the dataset, with its data if the summary shows it."""
        record = self._nodes[node.name]
        record.end = self._clock()
        record.saved[dataset_name] = _summarise(dataset_name, data)

    @hook_impl(trylast=True)
    def after_pipeline_run(
        self,
        run_params: Mapping[str, Any],
        pipeline: Pipeline,
        catalog: CatalogProtocol[Any, Any],
    ) -> None:
        """Print the summary, on rank 0."""
        if ranks.rank() > 0:
            return
        if "ParallelRunner" in str(run_params.get("runner")):
            # Its processes have recorded the nodes; this one reads what they have saved.
            self._nodes = {node.name: _read_outputs(node, catalog) for node in pipeline.nodes}
        saved = any(record.saved for record in self._nodes.values())
        if not saved and run_params.get("only_missing_outputs"):
            _print([["Nothing to do: the outputs of all nodes exist."]])
            return
        if (step := self._current_step()) is not None:
            section = self._section(step[0], f"step {step[1]}", self._nodes.values(), catalog)
            # Only the step that saves the pipeline's metrics prints a summary.
            if section.metrics is not None:
                _print([section.lines()])
            return
        names = run_params.get("pipeline_names") or [_DEFAULT]
        sections = list(self._sections(names, catalog))
        if parts := [section.lines() for section in sections]:
            if len(parts) > 1:
                parts.append(format_table([section.table_row() for section in sections]))
            _print([*parts, _hints(run_params.get("env"))])

    def _sections(
        self, names: Iterable[str], catalog: CatalogProtocol[Any, Any]
    ) -> Iterator[_Section]:
        """Yield a section per pipeline in the order in which they began.

        A node that several share is in the first one only.
        """
        remaining = dict(self._nodes)
        positions = {node: position for position, node in enumerate(self._nodes)}

        def first_position(name: str) -> int:
            nodes = pipelines[name].filter().nodes
            started = [positions[node.name] for node in nodes if node.name in positions]
            return min(started, default=0)

        for name in sorted(self._expand(names), key=first_position):
            nodes = {node.name for node in pipelines[name].filter().nodes}  # not its steps
            own = [remaining.pop(each) for each in self._nodes if each in nodes & remaining.keys()]
            part = "done" if len(own) == len(nodes) else f"{len(own)} of {len(nodes)} nodes"
            section = self._section(name, part, own, catalog)
            if section.location_rows():
                yield section

    def _expand(self, names: Iterable[str]) -> list[str]:
        """Replace `__default__` by its pipelines, and remove duplicates."""
        expanded = ([name] if name != _DEFAULT else self._default_pipelines for name in names)
        return list(dict.fromkeys(chain.from_iterable(expanded)))

    @staticmethod
    def _section(
        name: str, part: str, nodes: Iterable[_NodeRecord], catalog: CatalogProtocol[Any, Any]
    ) -> _Section:
        nodes = list(nodes)
        seconds = sum(record.end - record.start for record in nodes) or None
        saved = {dataset: data for record in nodes for dataset, data in record.saved.items()}
        return _Section(name, part, seconds, saved, catalog)


def _read_outputs(node: Node, catalog: CatalogProtocol[Any, Any]) -> _NodeRecord:
    """Return a record of a node without times, with the metrics that it has saved."""
    saved = {
        name: _summarise(name, catalog.load(name)) if name.endswith(METRICS) else None
        for name in node.outputs
        if catalog.exists(name)
    }
    return _NodeRecord(0, 0, saved)


def _summarise(name: str, data: Any) -> Any:
    """Return metrics, the approval of a model, a choice or a result's `places`; else None."""
    from quartet.datasets.registered_model import ModelRelease

    if isinstance(data, ModelRelease):
        return data.approved, data.reason
    if name.endswith(METRICS) or (isinstance(data, Mapping) and data.keys() & {"places", "choice"}):
        return dict(data)
    return None


@dataclass
class _Section:
    """Summary of one pipeline.

    Attributes:
        name: Name of the pipeline.
        part: The part that was run: `done`, `step NAME` or `3 of 5 nodes`.
        seconds: Time of its nodes, loading and saving included; None if it is unknown.
        saved: Data that the summary shows, by dataset saved in this run.
        catalog: The run's catalog.
    """

    name: str
    part: str
    seconds: float | None
    saved: Mapping[str, Any]
    catalog: CatalogProtocol[Any, Any]

    @property
    def metrics(self) -> Mapping[str, float] | None:
        """Return the pipeline's metrics, if this run saved them."""
        return self.saved.get(self.name + METRICS)

    def lines(self) -> list[str]:
        """Return a headline, the metrics, and the locations of results."""
        name = bold(self.name, sys.stdout) if _is_on_terminal() else self.name
        headline = f"{name}, {self.part}"
        if self.seconds is not None:
            headline += f" in {format_duration(self.seconds)}"
        tables = list(self._metric_rows()), self.location_rows()
        return [
            headline,
            *(f"  {line}" for table in tables if table for line in align_columns(table)),
        ]

    def _metric_rows(self) -> Iterator[tuple[str, ...]]:
        metrics = self.metrics or {}
        main = self._metadata().get("main", list(metrics))
        for name in (name for name in main if name in metrics):
            interval = self._interval(name)
            yield name, format_metric(name, metrics[name]), interval and f"95 % interval {interval}"

    def _interval(self, name: str) -> str:
        """Return the confidence interval of a metric, or an empty text."""
        metrics = self.metrics or {}
        low, high = metrics.get(f"{name}_low_95"), metrics.get(f"{name}_high_95")
        if low is None or high is None:
            return ""
        return f"{format_number(low)} to {format_number(high)}"

    def location_rows(self) -> list[tuple[str, str]]:
        """Return what was saved, and its location."""
        rows = [("choice", choice) for choice in self._choices()]
        rows += [("model", model) for model in self._models()]
        rows += [("result", location) for location in self._results()]
        rows += [("metrics", location) for location in self._metrics_locations()]
        return rows + self._figure_rows()

    def table_row(self) -> Row:
        """Return the row of the table of pipelines."""
        baselines = self._labelled("baselines")
        strongest = max(baselines, key=lambda label: baselines[label][1], default=None)
        folders = [location.rpartition("/")[0] for location in self._metrics_locations()]
        outputs = ", ".join(self._results() + folders)
        cells = (
            self.name,
            ", ".join(self._format_found(*each) for each in self._labelled("found").items()),
            f"{strongest} {format_metric(*baselines[strongest])}" if strongest else "-",
            format_duration(self.seconds),
        )
        return cells, [*self._choices(), *self._models(), *([f"see {outputs}"] if outputs else [])]

    def _labelled(self, kind: Literal["found", "baselines"]) -> dict[str, tuple[str, float]]:
        """Return name and value of the declared metrics that this run saved, by label."""
        metrics, declared = self.metrics or {}, self._metadata().get(kind, {})
        return {label: (name, metrics[name]) for label, name in declared.items() if name in metrics}

    def _format_found(self, label: str, metric: tuple[str, float]) -> str:
        interval = self._interval(metric[0])
        return f"{label} {format_metric(*metric)}" + (f" ({interval})" if interval else "")

    def _choices(self) -> list[str]:
        """Return why parameters were chosen, as nodes have saved it."""
        return [
            str(data["choice"])
            for data in self.saved.values()
            if isinstance(data, Mapping) and "choice" in data
        ]

    def _results(self) -> list[str]:
        """Return the locations of the results."""
        return [
            location
            for name in self._metadata().get("results", ())
            if name in self.saved
            for location in self._result_locations(name)
        ]

    def _models(self) -> list[str]:
        """Return name and version of the models that were registered or refused, and why."""
        found = []
        for name, data in self.saved.items():
            if isinstance(data, tuple):
                approved, reason = data
                dataset: Any = self.catalog.get(name)
                version = getattr(dataset, "saved_version", None)
                outcome = f"version {version}" if approved else "no new version"
                found.append(f"{getattr(dataset, 'model_name', name)}, {outcome} ({reason})")
        return found

    def _result_locations(self, name: str) -> list[str]:
        """Return the `places` that a result lists, or else its own location."""
        data = self.saved[name]
        if isinstance(data, Mapping) and "places" in data:
            paths = [shorten_path(str(path)) for path in data["places"]]
            return paths if len(paths) < 4 else [f"{len(paths)} files, from {paths[0]}"]
        location = self._location(name)
        return [location] if location else []

    def _metrics_locations(self) -> list[str]:
        """Return the location of the metrics, if this run saved them in a file."""
        location = self._location(self.name + METRICS) if self.metrics is not None else None
        return [location] if location else []

    def _figure_rows(self) -> list[tuple[str, str]]:
        locations = [location for name in self.saved if (location := self._location(name))]
        figures = [path for path in locations if PurePosixPath(path).suffix in _FIGURE_SUFFIXES]
        folders = Counter(path.rpartition("/")[0] or "." for path in figures)
        return [("figures", f"{count} in {folder}") for folder, count in folders.items()]

    def _location(self, name: str) -> str | None:
        file = dataset_file(self.catalog.get(name))
        if file is None:
            return None
        protocol, path = file
        return shorten_path(path) if protocol == "file" else f"{protocol}://{path}"

    def _metadata(self) -> Mapping[str, Any]:
        name = self.name + METRICS
        dataset = self.catalog.get(name) if name in self.catalog else None
        metadata = getattr(dataset, "metadata", None) or {}
        quartet: Mapping[str, Any] = metadata.get("quartet", {})
        return quartet


def shorten_path(path: str) -> str:
    """Return a path below the working directory relative to it; others unchanged."""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return path


def format_metric(name: str, value: float) -> str:
    """Format a metric with the unit in its name: `12.1 s`, `48,936 rows/s`."""
    if name.endswith("_per_s"):
        return f"{format_number(value)} {name.removesuffix('_per_s').rpartition('_')[2]}/s"
    if name.endswith(("seconds", "_s")) or "seconds_per_" in name:
        return format_duration(value) if value >= 10 else f"{value:.2g} s"
    return format_number(value)


def _hints(environment: str | None) -> list[str]:
    option = f" -e {environment}" if environment else ""
    commands = [
        (f"kedro viz run{option}", "show figures and tables in the pipeline graph"),
        (f"kedro mlflow ui{option}", "compare this run with earlier ones"),
    ]
    return align_columns(commands)


def _is_on_terminal() -> bool:
    """Return whether one process writes to a terminal; mpirun gives every rank a terminal."""
    return sys.stdout.isatty() and ranks.size() == 1


def _print(parts: Iterable[Sequence[str]]) -> None:
    """Write to stdout; a closed pipe, as of `| head`, is not an error of the run.

    Characters that the terminal's encoding lacks are escaped: names of files may have any.
    """
    text = "\n\n".join("\n".join(lines) for lines in parts)
    encoding = sys.stdout.encoding or "utf-8"
    text = text.encode(encoding, "backslashreplace").decode(encoding)
    try:
        # On a terminal an empty line separates it from the log.
        print(f"\n{text}" if _is_on_terminal() else text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
