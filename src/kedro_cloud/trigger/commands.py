"""Start local commands that process a file: `kedro run`, or a rehearsal of the job."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kedro_cloud.trigger.locations import ArrivedFile
from kedro_cloud.trigger.protocol import Marker, Outcome
from kedro_cloud.trigger.runs import Run, Starter, check_parameters
from kedro_cloud.trigger.settings import FileTrigger

# In sh: run a command. When the process at the other end of standard input ends, even by SIGKILL,
# everything that was started is killed: two runs never process one file.
_SUPERVISED = (
    'trap : INT TERM; exec 3<&0 </dev/null; { read _ <&3; kill -KILL 0; } & "$@" 3<&-; exit $?'
)
_LOG_TAIL = 1 << 16
"""Bytes at the end of a log that are read."""
_MAX_REASON = 400
_COLOUR = re.compile(r"\x1b\[[\d;]*[A-Za-z]")
_PERCENT = re.compile(r"(\d+)%\|")


@dataclass(frozen=True)
class CommandRun(Run):
    """A local command in its own process group.

    Attributes:
        work: Folder of its log and working files.
        process: Its process.
        summary: JSON file in the folder whose `places` are the paths of the results; or None.
    """

    work: Path
    process: subprocess.Popen[bytes]
    summary: str | None
    job = None

    def outcome(self) -> Outcome | None:
        """Return how it ended; None while it runs."""
        code = self.process.poll()
        if code is None:
            return None
        self.kill()
        if code == 0:
            return Outcome("done", ", ".join(self._results()))
        return Outcome("failed", f"{self._find_reason(code)} (log: {self._log})")

    def progress(self) -> str:
        """Return the state of its last progress bar."""
        percents = _PERCENT.findall("\n".join(self._read_log()))
        return f"{percents[-1]} %" if percents else ""

    def interrupt(self) -> None:
        """Interrupt its process group, as Ctrl-C does."""
        if self.process.poll() is None:
            self._signal(signal.SIGINT)

    def kill(self) -> None:
        """Kill the rest of its process group."""
        if self.process.stdin is None or self.process.stdin.closed:
            return
        self._signal(signal.SIGKILL)
        self.process.stdin.close()
        self.process.wait()

    def clean_up(self) -> None:
        """Remove its working files."""
        shutil.rmtree(self.work, ignore_errors=True)

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)

    @property
    def _log(self) -> Path:
        return self.work / "log.txt"

    def _results(self) -> list[str]:
        try:
            summary = json.loads((self.work / (self.summary or "")).read_text())
            return [str(path) for path in summary["places"]]
        except (OSError, ValueError, KeyError):
            return []

    def _find_reason(self, code: int) -> str:
        number = -code if code < 0 else code - 128  # sh: 128 and the number of the signal
        if number in set(signal.Signals):
            name = signal.Signals(number).name
            memory = ", as Linux does when memory runs out" if name == "SIGKILL" else ""
            return f"ended by {name}{memory}"
        lines = [line for line in self._read_log() if line]
        errors = [line for line in lines if line.startswith("Error: ")]
        reason = (errors or lines or [f"exit code {code}"])[-1].removeprefix("Error: ").rstrip(".")
        return reason if len(reason) <= _MAX_REASON else f"{reason[:_MAX_REASON]}…"

    def _read_log(self) -> list[str]:
        """Return its last lines without colours; each redraw of a progress bar is a line."""
        try:
            with self._log.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - _LOG_TAIL))
                text = file.read().decode("utf-8", "replace")
        except OSError:
            return []
        return [line.strip() for line in re.split(r"[\r\n]+", _COLOUR.sub("", text))]


def start_command(
    command: list[str], trigger: FileTrigger, work: Path, summary: str | None
) -> CommandRun:
    """Start a command that logs to its working folder."""
    with (work / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            ["sh", "-c", _SUPERVISED, "sh", *command],
            cwd=trigger.project,
            env={**os.environ, **trigger.variables},
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return CommandRun(work, process, summary)


def command_starter(
    trigger: FileTrigger, params: Mapping[str, Any], rehearse: bool = False
) -> Starter:
    """Return a starter of `kedro run` on this machine, or of `kedro cloud rehearse`.

    `params` are nested parameters that are the same for all files.

    Raises:
        ValueError: A setting is missing or invalid, or a parameter differs from file to file.
    """
    any_file = ArrivedFile("", "", "", 0, 0)
    own = [trigger.file_parameter] if rehearse else trigger.local_parameters(any_file, Path())
    check_parameters(params, own)
    # Read the settings here, so that errors are raised before a file is claimed.
    folder, summary = trigger.work_folder, trigger.summary_name
    build = rehearse_command if rehearse else kedro_run_command

    def start(file: ArrivedFile, claim: Marker) -> CommandRun:
        # All attempts share a folder, so that the next one reuses what is finished.
        key = hashlib.sha256(f"{file.address}\n{file.version}".encode()).hexdigest()[:16]
        work = folder / key
        work.mkdir(parents=True, exist_ok=True)
        return start_command(build(trigger, params, file, work), trigger, work, summary)

    return Starter(start) if rehearse else Starter(start, lambda name: name.rpartition(".")[0])


def kedro_run_command(
    trigger: FileTrigger, params: Mapping[str, Any], file: ArrivedFile, work: Path
) -> list[str]:
    """Return the command of a local run."""
    given = trigger.run_parameters(params, trigger.local_parameters(file, work))
    # Not on the command line, where a comma in a name would separate two parameters.
    config = work / "run.json"
    run = {"pipelines": trigger.endpoint.pipeline, "params": given}
    config.write_text(json.dumps({"run": run}, ensure_ascii=False), encoding="utf-8")
    return [sys.executable, "-m", "kedro", "run", "--config", str(config)]


def rehearse_command(
    trigger: FileTrigger, params: Mapping[str, Any], file: ArrivedFile, work: Path
) -> list[str]:
    """Return the command of a rehearsal, which has its own storage account."""
    container = f"arrived/{work.name}"
    address = f"abfs://{container}/{Path(file.name).name}"
    given = trigger.run_parameters(params, {trigger.file_parameter: address})
    return [
        *(sys.executable, "-m", "kedro", "cloud", "rehearse", "-e", trigger.environment),
        *("-p", trigger.endpoint.pipeline, "--params", json.dumps(given, ensure_ascii=False)),
        *("--upload", f"{file.address}={container}"),
    ]
