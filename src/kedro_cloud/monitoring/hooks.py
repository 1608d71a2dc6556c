"""Report runs and nodes to Application Insights: durations, status, row counts and metrics.

Enabled where APPLICATIONINSIGHTS_CONNECTION_STRING is set, on the first MPI rank only. Telemetry
never fails a run, and delays it by a few seconds at most.
"""

from __future__ import annotations

import functools
import logging
import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kedro.framework.hooks import hook_impl

from kedro_cloud.core import ranks
from kedro_cloud.core.errors import error_chain
from kedro_cloud.core.extras import find_extra, format_missing
from kedro_cloud.core.hooks import NodeStartHooks
from kedro_cloud.core.variables import CONNECTION_STRING

if TYPE_CHECKING:
    from kedro.pipeline.node import Node
    from opentelemetry.sdk.trace import Span

    from kedro_cloud.monitoring.telemetry import Telemetry

logger = logging.getLogger(__name__)


def is_enabled() -> bool:
    """Return whether this process sends telemetry."""
    return bool(os.environ.get(CONNECTION_STRING, "").strip()) and ranks.rank() == 0


def _switch_off_on_error(hook: Callable[..., None]) -> Callable[..., None]:
    """Wrap a hook so that an error in it switches telemetry off and the run continues."""

    @functools.wraps(hook)
    def wrapper(self: TelemetryHooks, *arguments: Any, **named: Any) -> None:
        try:
            hook(self, *arguments, **named)
        except Exception as error:
            extra = find_extra(error)
            text = format_missing("it", extra) if extra else f"{type(error).__name__}: {error}"
            self.switch_off(text)

    return wrapper


@dataclass
class _OpenNode:
    """Running node: its span, its unsaved outputs, and the time of its last event."""

    span: Span
    unsaved: set[str]
    has_run: bool = False
    last_event_ns: int = field(default_factory=time.time_ns)

    @property
    def is_done(self) -> bool:
        return self.has_run and not self.unsaved


class TelemetryHooks(NodeStartHooks):
    """Open one span per run and one per node, from loading its first input to its last save."""

    def __init__(self) -> None:
        super().__init__()
        self._telemetry: Telemetry | None = None
        self._switched_off = False
        self._run: Span | None = None
        self._pipeline = ""
        self._step = ""
        self._nodes: dict[str, _OpenNode] = {}

    @hook_impl(tryfirst=True)
    @_switch_off_on_error
    def before_pipeline_run(self, run_params: dict[str, Any]) -> None:
        """Open the run's span."""
        from kedro_cloud.jobs.hooks import STEP

        if not is_enabled():
            return
        if self._telemetry is None:
            from kedro_cloud.monitoring.telemetry import Telemetry

            self._telemetry = Telemetry(os.environ[CONNECTION_STRING].strip())
        self._nodes.clear()
        self.clear_starts()
        pipeline, self._step = STEP.get() or ("", "")
        self._pipeline = pipeline or _join_pipeline_names(run_params)
        self._run = self._telemetry.begin(self._pipeline, self._properties())

    @hook_impl(trylast=True)
    @_switch_off_on_error
    def after_pipeline_run(self) -> None:
        """Close the run's span and send the remaining telemetry."""
        self._end()

    @hook_impl(tryfirst=True)
    @_switch_off_on_error
    def on_pipeline_error(self, error: Exception) -> None:
        """Close open spans as failed, with the exception's classes, and send them."""
        # Only classes, as messages may contain personal data.
        names = (type(each).__name__ for each in error_chain(error))
        self._end(" from ".join(dict.fromkeys(names)))

    @_switch_off_on_error
    def on_node_start(self, node: Node) -> None:
        """Open the node's span, and close those of finished nodes."""
        if self._telemetry is None or self._run is None:
            return
        self._close_finished(self._telemetry)
        span = self._telemetry.begin(node.name, self._properties(node.name), self._run)
        self._nodes[node.name] = _OpenNode(span, set(node.outputs))

    @hook_impl(trylast=True)
    @_switch_off_on_error
    def after_node_run(self, node: Node, outputs: dict[str, Any]) -> None:
        """Record the rows of a node's outputs before they are saved."""
        if opened := self._nodes.get(node.name):
            opened.span.set_attribute("rows", sum(map(_count_rows, outputs.values())))
            opened.has_run = True
            opened.last_event_ns = time.time_ns()

    @hook_impl(trylast=True)
    @_switch_off_on_error
    def after_dataset_saved(self, dataset_name: str, data: Any, node: Node) -> None:
        """Record a saved output; keep metrics for the next flush."""
        if opened := self._nodes.get(node.name):
            opened.unsaved.discard(dataset_name)
            opened.last_event_ns = time.time_ns()
        if self._telemetry and dataset_name.endswith("_metrics") and isinstance(data, Mapping):
            pipeline = dataset_name.removesuffix("_metrics")
            for name, value in data.items():
                if isinstance(value, int | float) and math.isfinite(value):
                    self._telemetry.gauge(f"{pipeline}/{name}", value, {"pipeline": pipeline})

    def switch_off(self, reason: str) -> None:
        """Stop telemetry in this process, and log the reason once."""
        self._telemetry, self._run = None, None
        if not self._switched_off:
            self._switched_off = True
            logger.warning("telemetry is switched off (%s); the run continues", reason)

    def _properties(self, node: str = "") -> dict[str, str]:
        """Return the attributes of a span: pipeline, step and node, those that are known."""
        properties = {"pipeline": self._pipeline, "step": self._step, "node": node}
        return {name: value for name, value in properties.items() if value}

    def _close_finished(self, telemetry: Telemetry) -> None:
        """Close the spans of finished nodes, at the time of the last event.

        A node cannot be closed at its first save: a generator saves an output many times.
        """
        for name in [name for name, node in self._nodes.items() if node.is_done]:
            node = self._nodes.pop(name)
            telemetry.end(node.span, at_ns=node.last_event_ns)

    def _end(self, error: str = "") -> None:
        """Close all spans, as failed if there is an error, and send the telemetry."""
        telemetry, run = self._telemetry, self._run
        if telemetry is None or run is None:
            return
        self._close_finished(telemetry)
        if error:
            failed = next(iter(self._nodes.values()), None)
            if failed is not None:
                failed.span.set_attribute("error", error)
                run.set_attribute("node", failed.span.name)
            run.set_attribute("error", error)
        for node in self._nodes.values():
            telemetry.end(node.span, failed=bool(error))
        self._nodes.clear()
        telemetry.end(run, failed=bool(error))
        self._run = None
        if reason := telemetry.flush():
            self.switch_off(reason)


def _join_pipeline_names(run_params: Mapping[str, Any]) -> str:
    """Return the pipelines of `kedro run`, comma-separated."""
    names = run_params.get("pipeline_names") or [run_params.get("pipeline_name") or "__default__"]
    return ",".join(names)


def _count_rows(data: Any) -> int:
    """Return the number of rows of a table, array or list; 0 for other types."""
    if isinstance(data, list):
        return len(data)
    shape = getattr(data, "shape", None)
    return int(shape[0]) if isinstance(shape, tuple) and shape else 0
