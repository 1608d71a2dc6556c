"""What a step's start costs over its own work.

With KEDRO_CLOUD_STEP_REPORT=FILE a run writes into FILE, as JSON:

- `startup_s`, seconds from the start of the process to the first node's first dataset;
- `startup_mib`, memory of the process at that moment;
- `work_s`, seconds from there to the end of the last node;
- `peak_mib`, the most memory the process ever had.

Of several MPI ranks the first writes.
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

from kedro.framework.hooks import hook_impl

from kedro_cloud.core import ranks
from kedro_cloud.core.hooks import NodeStart

if TYPE_CHECKING:
    from kedro.pipeline.node import Node

VARIABLE = "KEDRO_CLOUD_STEP_REPORT"
_IMPORTED = time.time()
_MIB = 1 << 20


class StepReportHooks(NodeStart):
    """Writes the report, if one is asked for."""

    def __init__(
        self, clock: Callable[[], float] = time.time, started: Callable[[], float] | None = None
    ) -> None:
        """Take other clocks, for tests.

        Args:
            clock: Seconds since 1970.
            started: When this process did, likewise.
        """
        super().__init__()
        self._clock = clock
        self._started = started or process_start_time
        self._begun: tuple[float, float] | None = None

    @hook_impl
    def before_pipeline_run(self) -> None:
        """Refuse a report that could not be written, before there is work to lose."""
        file = os.environ.get(VARIABLE)
        if file and not Path(file).parent.is_dir():
            raise ValueError(f"{VARIABLE}: there is no folder {Path(file).parent}; make it")

    def on_node_start(self, node: Node) -> None:
        """Measure the start-up, which ends where the first node starts."""
        if self._begun is None:
            self._begun = (self._clock(), memory_mib())

    @hook_impl(trylast=True)
    def after_pipeline_run(self) -> None:
        """Write the report."""
        self._report()

    @hook_impl(tryfirst=True)
    def on_pipeline_error(self) -> None:
        """Write it all the same: a step that failed has started, too."""
        self._report()

    def _report(self) -> None:
        file = os.environ.get(VARIABLE)
        if not file or self._begun is None or ranks.rank() > 0:
            return
        at, mib = self._begun
        report = {
            "startup_s": round(at - self._started(), 3),
            "startup_mib": round(mib, 1),
            "work_s": round(self._clock() - at, 3),
            "peak_mib": round(peak_mib(), 1),
        }
        beside = Path(f"{file}.part")
        beside.write_text(json.dumps(report) + "\n", encoding="utf-8")
        beside.replace(file)


def process_start_time() -> float:
    """When this process started, in seconds since 1970; to a hundredth, on Linux.

    Elsewhere when this module was imported, which is some tenths of a second too late.
    """
    try:
        text = Path("/proc/self/stat").read_text(encoding="ascii")
        uptime = float(Path("/proc/uptime").read_text(encoding="ascii").split()[0])
    except OSError:
        return _IMPORTED
    # The program's name, in brackets, may hold blanks; the start is the 20th field after it.
    ticks = int(text.rpartition(")")[2].split()[19])
    return time.time() - uptime + ticks / os.sysconf("SC_CLK_TCK")


def memory_mib() -> float:
    """Memory that this process has at present, in MiB; the most it ever had, except on Linux."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return peak_mib()
    return pages * os.sysconf("SC_PAGE_SIZE") / _MIB


def peak_mib() -> float:
    """The most memory that this process ever had, in MiB.

    Except on Linux, that of the program which started it counts, too, if it was larger.
    """
    told = high_water_mib("self")
    if told is not None:
        return told
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / _MIB


def high_water_mib(process: str) -> float | None:
    """The most memory that a process has held, in MiB; None where the system does not tell.

    Args:
        process: Its number, or `self`.
    """
    try:
        status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024
    except (OSError, IndexError):
        return None
