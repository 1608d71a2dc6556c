"""Measure the start-up time and memory of a step.

With KEDRO_CLOUD_STEP_REPORT=FILE, rank 0 writes a JSON file:

- `startup_s`: seconds from the start of the process to the first node's first dataset;
- `startup_mib`: memory of the process at that time;
- `work_s`: seconds from then to the end of the last node;
- `peak_mib`: peak memory of the process.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import psutil  # type: ignore[import-untyped]
from kedro.framework.hooks import hook_impl

from kedro_cloud.core import processes, ranks
from kedro_cloud.core.hooks import NodeStartHooks

if TYPE_CHECKING:
    from kedro.pipeline.node import Node

VARIABLE = "KEDRO_CLOUD_STEP_REPORT"
"""Environment variable with the path of the report; no report without it."""
_MIB = 1 << 20
_IMPORTED = time.time()
"""Time at which this module was imported, in seconds since the epoch."""


class StepReportHooks(NodeStartHooks):
    """Write the report, if KEDRO_CLOUD_STEP_REPORT is set."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """Create the hooks.

        Args:
            clock: Returns the current time in seconds since the epoch; tests replace it.
        """
        super().__init__()
        self._clock = clock
        self._first_node: tuple[float, float] | None = None

    @hook_impl
    def before_pipeline_run(self) -> None:
        """Check that the report can be written.

        Raises:
            ValueError: Its folder does not exist.
        """
        file = os.environ.get(VARIABLE)
        if file and not Path(file).parent.is_dir():
            raise ValueError(f"{VARIABLE}: folder {Path(file).parent} does not exist; create it")

    def on_node_start(self, node: Node) -> None:
        """Measure the start-up, which ends when the first node starts."""
        if self._first_node is None:
            self._first_node = (self._clock(), memory_mib())

    @hook_impl(trylast=True)
    def after_pipeline_run(self) -> None:
        """Write the report."""
        self._report()

    @hook_impl(tryfirst=True)
    def on_pipeline_error(self) -> None:
        """Write the report of a failed step."""
        self._report()

    def _report(self) -> None:
        file = os.environ.get(VARIABLE)
        if not file or self._first_node is None or ranks.rank() > 0:
            return
        at, mib = self._first_node
        report = {
            "startup_s": round(at - process_start_time(), 3),
            "startup_mib": round(mib, 1),
            "work_s": round(self._clock() - at, 3),
            "peak_mib": round(peak_mib(), 1),
        }
        beside = Path(f"{file}.part")
        beside.write_text(json.dumps(report) + "\n", encoding="utf-8")
        beside.replace(file)


def process_start_time() -> float:
    """Return the start time of this process, in seconds since the epoch.

    psutil has it in whole seconds only. Outside Linux it is the time at which this module was
    imported, some tenths of a second later.
    """
    ticks = processes.start_ticks(os.getpid())
    if not ticks:
        return _IMPORTED
    since_boot = time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.time() - since_boot + int(ticks) / os.sysconf("SC_CLK_TCK")


def memory_mib() -> float:
    """Return the memory of this process in MiB."""
    return float(psutil.Process().memory_info().rss) / _MIB


def peak_mib() -> float:
    """Return the peak memory of this process in MiB.

    Except on Linux, this includes the program that started the process.
    """
    if peak := high_water_mib("self"):
        return peak
    unit = 1 if sys.platform == "darwin" else 1024  # bytes in the unit of `ru_maxrss`
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / _MIB


def high_water_mib(process: str) -> float | None:
    """Return the peak memory of a process in MiB; None outside Linux.

    Args:
        process: Process ID, or `self`.
    """
    try:
        status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024  # the file has KiB
    except (OSError, IndexError):
        return None
