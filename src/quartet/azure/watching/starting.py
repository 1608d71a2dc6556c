"""How the work on a video is started, and what is seen of it: on this machine, by a command."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from quartet.azure.watching.markers import Marker, State
from quartet.azure.watching.places import Video

GRACE_S = ((signal.SIGINT, 10.0), (signal.SIGTERM, 5.0))
"""How commands are asked to end, and how long each time; then they are killed."""
# Of the shell: runs a command, and notes how it ended. When whoever holds the other end of its
# input goes, even by force, all that it has started goes as well: two never work on one video.
_WATCHED = (
    'trap : INT TERM; exec 3<&0 </dev/null; { read _ <&3; kill -KILL 0; } & "$@" 3<&-; code=$?; '
    'echo $code >"$0.new" && mv "$0.new" "$0"; exit $code'
)
_TAIL = 1 << 16
"""Bytes from the end of a log in which its last words are looked for."""
_LONGEST = 400
_COLOUR = re.compile(r"\x1b\[[\d;]*[A-Za-z]")
_PERCENT = re.compile(r"(\d+)%\|")


@dataclass(frozen=True)
class Outcome:
    """How the work on a video ended.

    Attributes:
        state: Done, failed, or stopped by somebody who will have meant it.
        said: Where the result is, or why there is none; one line.
    """

    state: State
    said: str


class Work(Protocol):
    """The work on one video."""

    goes_on_alone: bool
    """Whether it continues when nobody watches it."""

    @property
    def job(self) -> str | None:
        """Name of the Azure ML job, if it is one."""
        ...

    def outcome(self) -> Outcome | None:
        """How it ended; None while it is under way."""
        ...

    def progress(self) -> str:
        """How far it is, or nothing."""
        ...

    def ask_to_end(self, sign: signal.Signals) -> None:
        """Ask it to stop; it may take its time."""
        ...

    def end(self) -> None:
        """Make sure that nothing of it is left running here."""
        ...

    def forget(self) -> None:
        """Give up what was kept to go on after a failure."""
        ...


class Starter(Protocol):
    """A way to have a video restyled."""

    def result_of(self, name: str) -> str:
        """What the result of a video is told from those of others by."""
        ...

    def start(self, video: Video, claim: Marker) -> Work:
        """Start, or go on.

        Args:
            video: What to restyle.
            claim: Its marker, as it is written by now: what happened before, and which job was
                started for it, if one was.
        """
        ...


class Commands:
    """Runs a command on this machine for each video, in a group of processes of its own."""

    def __init__(
        self,
        command: Callable[[Video, Path], Sequence[str]],
        folder: Path,
        directory: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Begin.

        Args:
            command: Program and arguments for a video, which may keep things in a folder that
                stays until the video is done.
            folder: Of those folders.
            directory: Where commands run.
            environment: Variables to set.
        """
        self._command = command
        self._folder = folder
        self._directory = directory
        self._environment = {**os.environ, **(environment or {})}

    def result_of(self, name: str) -> str:
        """The video's folder and its name without the ending."""
        return name.rpartition(".")[0]

    def start(self, video: Video, claim: Marker) -> Work:
        """Run the command, unless it has finished and only its watcher did not live to note it."""
        key = hashlib.sha256(f"{video.address}\n{video.version}".encode()).hexdigest()[:16]
        folder = self._folder / key
        folder.mkdir(parents=True, exist_ok=True)
        ended = folder / "ended"
        if ended.exists() and ended.read_text().strip() == "0":
            return CommandWork(folder, None)
        ended.unlink(missing_ok=True)
        command = self._command(video, folder)
        with (folder / "log.txt").open("wb") as log:
            process = subprocess.Popen(
                ["sh", "-c", _WATCHED, str(ended), *command],
                cwd=self._directory,
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return CommandWork(folder, process)


class CommandWork:
    """A command that works on a video."""

    goes_on_alone = False
    job = None

    def __init__(self, folder: Path, process: subprocess.Popen[bytes] | None) -> None:
        """Begin.

        Args:
            folder: With its log, and what it keeps.
            process: None if it has ended well already.
        """
        self._folder = folder
        self._process = process
        self._log = folder / "log.txt"

    def outcome(self) -> Outcome | None:
        """How it ended; None while it is under way."""
        code = 0 if self._process is None else self._process.poll()
        if code is None:
            return None
        self.end()
        if code == 0:
            return Outcome(State.DONE, ", ".join(_places(self._folder / "output.json")))
        return Outcome(State.FAILED, f"{self._why(code)} (log: {self._log})")

    def _why(self, code: int) -> str:
        # The shell tells of a signal that ended the command by 128 and its number.
        number = -code if code < 0 else code - 128
        if number in set(signal.Signals):
            name = signal.Signals(number).name
            memory = ", as Linux does when memory runs out" if name == "SIGKILL" else ""
            return f"ended by {name}{memory}"
        lines = [line for line in _last_lines(self._log) if line]
        errors = [line for line in lines if line.startswith("Error: ")]
        told = (errors or lines or [f"exit code {code}"])[-1].removeprefix("Error: ").rstrip(".")
        return told if len(told) <= _LONGEST else f"{told[:_LONGEST]}…"

    def progress(self) -> str:
        """How far its last progress bar is."""
        found = _PERCENT.findall("\n".join(_last_lines(self._log)))
        return f"{found[-1]} %" if found else ""

    def ask_to_end(self, sign: signal.Signals) -> None:
        """Signal all that it has started."""
        if self._process is not None and self._process.poll() is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, sign)

    def end(self) -> None:
        """Kill whatever of it is left."""
        if self._process is None or self._process.stdin is None or self._process.stdin.closed:
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.stdin.close()
        self._process.wait()

    def forget(self) -> None:
        """Remove its folder."""
        shutil.rmtree(self._folder, ignore_errors=True)


def end_all(works: Sequence[Work]) -> None:
    """End works, gently first; at once if Ctrl-C comes again meanwhile."""
    try:
        for sign, patience in GRACE_S:
            for work in works:
                work.ask_to_end(sign)
            deadline = time.monotonic() + patience
            while time.monotonic() < deadline:
                if all(work.goes_on_alone or work.outcome() is not None for work in works):
                    return
                time.sleep(0.05)
    except KeyboardInterrupt:
        return
    finally:
        for work in works:
            work.end()


def kedro_run(
    parameters: Mapping[str, Any], results: str, reports: str
) -> Callable[[Video, Path], list[str]]:
    """The command that restyles a video by `kedro run`.

    Args:
        parameters: Of the run, nested.
        results: Folder that restyled videos go to, in the folders that their sources are in.
        reports: Folder for a folder of reports for each video.
    """

    def command(video: Video, folder: Path) -> list[str]:
        # On a command line a comma in a name would begin another parameter.
        given = {
            **parameters,
            "video": video.address,
            "transfer_folder": str(folder),
            "report_folder": f"{reports}/{video.name}",
            "restyled_folder": f"{results}/{video.name}".rpartition("/")[0],
        }
        file = folder / "run.json"
        run = {"pipelines": "style_transfer", "params": given}
        file.write_text(json.dumps({"run": run}, ensure_ascii=False), encoding="utf-8")
        return [sys.executable, "-m", "kedro", "run", "--config", str(file)]

    return command


def _places(output: Path) -> list[str]:
    """Where the pipeline says that it has put its results; none if it says nothing."""
    try:
        return [str(place) for place in json.loads(output.read_text())["places"]]
    except (OSError, ValueError, KeyError):
        return []


def _last_lines(log: Path) -> list[str]:
    """The last lines of a log, less colours; a bar that is drawn anew is a line each time."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    return [line.strip() for line in re.split(r"[\r\n]+", _COLOUR.sub("", text))]
