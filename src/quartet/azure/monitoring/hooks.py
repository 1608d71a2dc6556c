"""Tells Application Insights of runs and nodes, their metrics, warnings and errors.

On where APPLICATIONINSIGHTS_CONNECTION_STRING is set, and on the first of several MPI ranks only.
A run never fails, and never waits more than some seconds, because of it.
"""

from __future__ import annotations

import functools
import logging
import math
import os
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from kedro.framework.hooks import hook_impl

from quartet import distributed

if TYPE_CHECKING:
    from kedro.pipeline.node import Node
    from opentelemetry.sdk.trace import Span

    from quartet.azure.monitoring.telemetry import Telemetry

VARIABLE = "APPLICATIONINSIGHTS_CONNECTION_STRING"
"""Whom to tell."""
AUTHENTICATION = "APPLICATIONINSIGHTS_AUTHENTICATION_STRING"
"""`Authorization=AAD`: whoever tells needs the role Monitoring Metrics Publisher."""
_TOLD_ANYWAY = ("kedro.pipeline.node", "kedro.runner.")
"""Loggers that say of a failed node what its span and its error say."""
logger = logging.getLogger(__name__)


def is_on() -> bool:
    """Whether this process tells of itself."""
    return bool(os.environ.get(VARIABLE, "").strip()) and distributed.rank() == 0


def _never_failing(hook: Callable[..., None]) -> Callable[..., None]:
    """A hook that says what went wrong in it, once, and lets the run go on without telemetry."""

    @functools.wraps(hook)
    def guarded(self: TelemetryHooks, *arguments: Any, **named: Any) -> None:
        try:
            hook(self, *arguments, **named)
        except Exception as error:
            self.give_up(f"{type(error).__name__}: {error}")

    return guarded


class _OpenNode:
    """A node that has begun: its span, what it has still to save, and when it was last heard of."""

    def __init__(self, span: Span, outputs: set[str]) -> None:
        self.span = span
        self.unsaved = outputs
        self.has_run = False
        self.at_ns = time.time_ns()

    def heard(self) -> None:
        self.at_ns = time.time_ns()

    @property
    def is_done(self) -> bool:
        return self.has_run and not self.unsaved


class TelemetryHooks:
    """One span a run and one a node, from its first dataset's loading to its last one's saving."""

    def __init__(self) -> None:
        self._telemetry: Telemetry | None = None
        self._given_up = False
        self._run: Span | None = None
        self._pipeline = ""
        self._step = ""
        self._nodes: dict[str, _OpenNode] = {}
        self._warnings = _Warnings(self)

    @hook_impl(tryfirst=True)
    @_never_failing
    def before_pipeline_run(self, run_params: dict[str, Any]) -> None:
        """Open the run's span."""
        from quartet.azure.hooks import STEP

        if self._telemetry is None:
            from quartet.azure.monitoring.telemetry import Telemetry

            self._telemetry = Telemetry(os.environ[VARIABLE].strip())
        self._nodes.clear()
        pipeline, self._step = STEP.get() or ("", "")
        self._pipeline = pipeline or _pipeline_of(run_params)
        self._run = self._telemetry.begin_run(self._pipeline, self._told())
        logging.getLogger().addHandler(self._warnings)

    @hook_impl(trylast=True)
    @_never_failing
    def after_pipeline_run(self) -> None:
        """Close the run's span, and send what is left."""
        self._end(failed=False)

    @hook_impl(tryfirst=True)
    @_never_failing
    def on_pipeline_error(self, error: Exception) -> None:
        """Close what is open as failed, with the error's own words, and send it."""
        from quartet.azure.monitoring.source_texts import of_error

        if self._telemetry and self._run:
            failed = [name for name, node in self._nodes.items() if not node.is_done]
            told = {**self._told(*failed[:1]), "error": type(error).__name__}
            span = self._nodes[failed[0]].span if failed else self._run
            self._telemetry.text(logging.ERROR, of_error(error), told, span)
        self._end(failed=True)

    @hook_impl(tryfirst=True)
    @_never_failing
    def before_dataset_loaded(self, node: Node) -> None:
        """A node begins."""
        self._node(node)

    @hook_impl(tryfirst=True)
    @_never_failing
    def before_node_run(self, node: Node) -> None:
        """A node begins that reads nothing."""
        self._node(node)

    @hook_impl(trylast=True)
    @_never_failing
    def after_node_run(self, node: Node, outputs: dict[str, Any]) -> None:
        """A node has its results, and has still to save them."""
        if opened := self._node(node):
            opened.span.set_attribute("rows", sum(map(_rows, outputs.values())))
            opened.has_run = True
            opened.heard()

    @hook_impl(trylast=True)
    @_never_failing
    def after_dataset_saved(self, dataset_name: str, data: Any, node: Node) -> None:
        """A node has saved an output; if these are metrics, they are sent."""
        if opened := self._node(node):
            opened.unsaved.discard(dataset_name)
            opened.heard()
        if self._telemetry and dataset_name.endswith("_metrics") and isinstance(data, Mapping):
            pipeline = dataset_name.removesuffix("_metrics")
            for name, value in data.items():
                if isinstance(value, int | float) and math.isfinite(value):
                    self._telemetry.gauge(f"{pipeline}/{name}", value, {"pipeline": pipeline})

    def give_up(self, why: str) -> None:
        """Send nothing more in this process, and say why, once."""
        logging.getLogger().removeHandler(self._warnings)
        self._telemetry, self._run = None, None
        if not self._given_up:
            self._given_up = True
            logger.warning("telemetry is off from here on (%s); the run is as good without", why)

    def warn(self, record: logging.LogRecord) -> None:
        """Send a log line's own words."""
        from quartet.azure.monitoring.source_texts import of_record

        if self._telemetry is None:
            return
        name, opened = next(reversed(self._nodes.items()), ("", None))
        names = [name] if opened and not opened.is_done else []
        span = opened.span if opened and names else self._run
        told = {
            **self._told(*names),
            "logger": record.name,
            "place": f"{record.module}.{record.funcName}",
        }
        self._telemetry.text(record.levelno, of_record(record), told, span)

    def _told(self, *node: str) -> dict[str, str]:
        """What all items say: pipeline, step on Azure ML, and node if one is at work."""
        said = {"pipeline": self._pipeline, "step": self._step, "node": node[0] if node else ""}
        return {name: value for name, value in said.items() if value}

    def _node(self, node: Node) -> _OpenNode | None:
        """The node's span, opened if it has none; those that are done are closed."""
        if self._telemetry is None or self._run is None:
            return None
        if node.name not in self._nodes:
            self._close_done()
            span = self._telemetry.begin_node(node.name, self._told(node.name), self._run)
            self._nodes[node.name] = _OpenNode(span, set(node.outputs))
        return self._nodes[node.name]

    def _close_done(self) -> None:
        """Close nodes as of when they were last heard of: more of their outputs may have come."""
        assert self._telemetry is not None
        for name in [name for name, node in self._nodes.items() if node.is_done]:
            node = self._nodes.pop(name)
            self._telemetry.end(node.span, at_ns=node.at_ns)

    def _end(self, failed: bool) -> None:
        logging.getLogger().removeHandler(self._warnings)
        telemetry, run = self._telemetry, self._run
        if telemetry is None or run is None:
            return
        self._close_done()
        for node in self._nodes.values():
            telemetry.end(node.span, failed=failed)
        self._nodes.clear()
        telemetry.end(run, failed)
        self._run = None
        if why := telemetry.flush():
            self.give_up(why)


class _Warnings(logging.Handler):
    """Hands on what is logged as a warning or worse."""

    def __init__(self, hooks: TelemetryHooks) -> None:
        super().__init__(logging.WARNING)
        self._hooks = hooks

    def emit(self, record: logging.LogRecord) -> None:
        from quartet.azure.monitoring.telemetry import is_of_sending

        told = record.name == __name__ or record.name.startswith(_TOLD_ANYWAY)
        if told or is_of_sending(record.name):
            return
        try:
            self._hooks.warn(record)
        except Exception as error:  # logging's own way would print a traceback into the run
            self._hooks.give_up(f"{type(error).__name__}: {error}")


def _pipeline_of(run_params: Mapping[str, Any]) -> str:
    """What `kedro run` was asked for."""
    names = run_params.get("pipeline_names") or [run_params.get("pipeline_name") or "__default__"]
    return ",".join(names)


def _rows(data: Any) -> int:
    """Rows of a table, an array or a list; 0 for all else."""
    if isinstance(data, list):
        return len(data)
    shape = getattr(data, "shape", None)
    return int(shape[0]) if isinstance(shape, tuple) and shape else 0
