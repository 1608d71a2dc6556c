"""What a run ends in: for each pipeline its main metrics, and where its results lie.

Written to stdout, as it is what was asked for; what is said on the way there goes to stderr, so
that `kedro run > summary.txt` keeps the one without the other. Which metrics are the main ones,
and which datasets are results, the catalog says at the pipeline's metrics:

```yaml
faq_matching_metrics:
  metadata:
    quartet:
      main: [questions, questions_with_probable_match]
      results: [faq_matches]
```
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from kedro.framework.hooks import hook_impl
from kedro.framework.project import pipelines

from kedro_cloud.compat import dataset_file
from kedro_cloud.core import ranks
from kedro_cloud.core.console import aligned, bold, duration
from kedro_cloud.core.hooks import NodeStart

if TYPE_CHECKING:
    from kedro.io import CatalogProtocol
    from kedro.pipeline import Pipeline
    from kedro.pipeline.node import Node

METRICS = "_metrics"
"""What the name of a pipeline's metrics has after the pipeline's own."""
_PICTURES = {".png", ".webp", ".jpg", ".svg"}
_DEFAULT = "__default__"


@dataclass
class _Done:
    """What is known of a node that has run, or runs."""

    begun: float
    heard: float
    saved: dict[str, Any] = field(default_factory=dict)
    """By dataset what the summary may tell of it: never the data of large ones."""


class SummaryHooks(NodeStart):
    """Records what each node saves and how long it takes, and prints it when the run succeeds."""

    def __init__(
        self,
        default_pipelines: Sequence[str],
        current_step: Callable[[], tuple[str, str] | None],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Take what the project's settings know of its pipelines and steps.

        Args:
            default_pipelines: Names of the pipelines that make up `__default__`.
            current_step: Returns pipeline and step that this process runs alone, or None.
            clock: Returns seconds; another one for tests.
        """
        super().__init__()
        self._default_pipelines = default_pipelines
        self._current_step = current_step
        self._clock = clock
        self._nodes: dict[str, _Done] = {}

    @hook_impl
    def before_pipeline_run(self) -> None:
        """Forget an earlier run of this process."""
        self._nodes.clear()
        self.clear_starts()

    def on_node_start(self, node: Node) -> None:
        """Start the node's clock."""
        now = self._clock()
        self._nodes[node.name] = _Done(now, now)

    @hook_impl(trylast=True)
    def after_node_run(self, node: Node) -> None:
        """Stop the clock: a node ends with this, or with the saving of its last dataset."""
        self._nodes[node.name].heard = self._clock()

    @hook_impl(trylast=True)
    def after_dataset_saved(self, dataset_name: str, data: Any, node: Node) -> None:
        """Stop the clock, and record the dataset, with its data if the summary shows it."""
        done = self._nodes[node.name]
        done.heard = self._clock()
        done.saved[dataset_name] = _told(dataset_name, data)

    @hook_impl(trylast=True)
    def after_pipeline_run(
        self,
        run_params: Mapping[str, Any],
        pipeline: Pipeline,
        catalog: CatalogProtocol[Any, Any],
    ) -> None:
        """Print the summary, on the first rank."""
        if ranks.rank() > 0:
            return
        saved = any(done.saved for done in self._nodes.values())
        if not saved and run_params.get("only_missing_outputs"):
            _print([["Nothing to do: the outputs of all nodes are there."]])
            return
        if (step := self._current_step()) is not None:
            section = self._section(step[0], f"step {step[1]}", self._nodes.values(), catalog)
            # Of the steps of a pipeline the one that makes its metrics tells.
            if section.metrics is not None:
                _print([section.lines()])
            return
        sections = self._sections(run_params.get("pipeline_names") or [_DEFAULT], catalog)
        if parts := [section.lines() for section in sections]:
            _print([*parts, _hints(run_params.get("env"))])

    def _sections(
        self, names: Iterable[str], catalog: CatalogProtocol[Any, Any]
    ) -> Iterator[_Section]:
        """What there is to tell of each pipeline; each node is told of once."""
        left = dict(self._nodes)
        for name in self._single(names):
            nodes = {node.name for node in pipelines[name].filter().nodes}  # not its steps
            own = [left.pop(node) for node in self._nodes if node in nodes and node in left]
            part = "done" if len(own) == len(nodes) else f"{len(own)} of {len(nodes)} nodes"
            section = self._section(name, part, own, catalog)
            if section.places():
                yield section

    def _single(self, names: Iterable[str]) -> list[str]:
        """The pipelines that a run of all consists of, and those that were asked for by name."""
        single: dict[str, None] = {}
        for name in names:
            single.update(dict.fromkeys(self._default_pipelines if name == _DEFAULT else [name]))
        return list(single)

    @staticmethod
    def _section(
        name: str, part: str, nodes: Iterable[_Done], catalog: CatalogProtocol[Any, Any]
    ) -> _Section:
        nodes = list(nodes)
        seconds = sum(done.heard - done.begun for done in nodes)
        saved = {dataset: data for done in nodes for dataset, data in done.saved.items()}
        return _Section(name, part, seconds, saved, catalog)


def _told(name: str, data: Any) -> Any:
    """Metrics, the verdict on a model, places that a result names; None of all else."""
    from quartet.datasets.registered_model import ModelRelease

    if isinstance(data, ModelRelease):
        return data.approved, data.reason
    if name.endswith(METRICS) or (isinstance(data, Mapping) and "places" in data):
        return dict(data)
    return None


@dataclass
class _Section:
    """What a run has to tell of one pipeline.

    Attributes:
        name: The pipeline's.
        done: How much of it.
        seconds: Time of its nodes, loading and saving included.
        saved: What it saved in this run, by dataset.
        catalog: Of the run.
    """

    name: str
    done: str
    seconds: float
    saved: Mapping[str, Any]
    catalog: CatalogProtocol[Any, Any]

    @property
    def metrics(self) -> Mapping[str, float] | None:
        """The pipeline's, if they were made in this run."""
        return self.saved.get(self.name + METRICS)

    def lines(self) -> list[str]:
        """A headline, the metrics, and where everything lies."""
        name = bold(self.name, sys.stdout) if _is_on_terminal() else self.name
        headline = f"{name}, {self.done} in {duration(self.seconds)}"
        tables = list(self._metric_rows()), self.places()
        return [headline, *(f"  {line}" for table in tables if table for line in aligned(table))]

    def _metric_rows(self) -> Iterator[tuple[str, ...]]:
        metrics = self.metrics or {}
        main = self._declared().get("main", list(metrics))
        for name in (name for name in main if name in metrics):
            low, high = metrics.get(f"{name}_low_95"), metrics.get(f"{name}_high_95")
            between = "" if low is None or high is None else f"{number(low)} to {number(high)}"
            yield name, with_unit(name, metrics[name]), between and f"95% interval {between}"

    def places(self) -> list[tuple[str, str]]:
        """What was made, and where it is."""
        rows = [("model", self._model(name, *told)) for name, told in self._releases()]
        rows += [
            ("result", place)
            for name in self._declared().get("results", ())
            if name in self.saved
            for place in self._result_places(name)
        ]
        if self.metrics is not None and (place := self._place(self.name + METRICS)):
            rows.append(("metrics", place))
        return rows + self._figure_rows()

    def _releases(self) -> list[tuple[str, tuple[bool, str]]]:
        return [(name, told) for name, told in self.saved.items() if isinstance(told, tuple)]

    def _model(self, name: str, approved: bool, reason: str) -> str:
        dataset: Any = self.catalog.get(name)
        version = getattr(dataset, "saved_version", None)
        said = f"version {version}" if approved else "no new version"
        return f"{getattr(dataset, 'model_name', name)}, {said} ({reason})"

    def _result_places(self, name: str) -> list[str]:
        """Of files that the result names, or else of the result itself."""
        told = self.saved[name]
        if isinstance(told, Mapping) and "places" in told:
            places = [shown_path(str(place)) for place in told["places"]]
            return places if len(places) < 4 else [f"{len(places)} files, from {places[0]}"]
        place = self._place(name)
        return [place] if place else []

    def _figure_rows(self) -> list[tuple[str, str]]:
        places = [place for name in self.saved if (place := self._place(name))]
        figures = [place for place in places if PurePosixPath(place).suffix in _PICTURES]
        folders: dict[str, int] = {}
        for place in figures:
            folder = place.rpartition("/")[0] or "."
            folders[folder] = folders.get(folder, 0) + 1
        return [("figures", f"{count} in {folder}") for folder, count in folders.items()]

    def _place(self, name: str) -> str | None:
        file = dataset_file(self.catalog.get(name))
        if file is None:
            return None
        protocol, path = file
        return shown_path(path) if protocol == "file" else f"{protocol}://{path}"

    def _declared(self) -> Mapping[str, list[str]]:
        name = self.name + METRICS
        dataset = self.catalog.get(name) if name in self.catalog else None
        metadata = getattr(dataset, "metadata", None) or {}
        declared: Mapping[str, list[str]] = metadata.get("quartet", {})
        return declared


def shown_path(path: str) -> str:
    """From here on, where the path leads below this folder; otherwise all of it."""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return path


def with_unit(name: str, value: float) -> str:
    """A metric with the unit that its name ends in: `12.1 s`, `48,936 rows/s`."""
    if name.endswith("_per_s"):
        return f"{number(value)} {name.removesuffix('_per_s').rpartition('_')[2]}/s"
    if name.endswith(("seconds", "_s")) or "seconds_per_" in name:
        return duration(value) if value >= 10 else f"{value:.2g} s"
    return number(value)


def number(value: float) -> str:
    """Four digits that count, or all before the point: `0.9582`, `27,636`."""
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.4g}"


def _hints(environment: str | None) -> list[str]:
    chosen = f" -e {environment}" if environment else ""
    commands = [
        (f"kedro viz run{chosen}", "figures and tables, at the nodes that made them"),
        (f"kedro mlflow ui{chosen}", "this run beside earlier ones"),
    ]
    return aligned(commands)


def _is_on_terminal() -> bool:
    """Not of several ranks: mpirun gives each a terminal of its own, wherever it writes itself."""
    return sys.stdout.isatty() and ranks.size() == 1


def _print(parts: Iterable[Sequence[str]]) -> None:
    """Write to stdout; whoever has closed it has read enough, and the run has not failed."""
    text = "\n\n".join("\n".join(lines) for lines in parts)
    try:
        # On a terminal the log stands above it.
        print(f"\n{text}" if _is_on_terminal() else text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
