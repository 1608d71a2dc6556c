"""Ways to start a run for a file: on this machine, as a rehearsal, on Azure ML."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import HttpResponseError

from kedro_cloud.trigger.locations import ArrivedFile
from kedro_cloud.trigger.protocol import Marker
from kedro_cloud.trigger.runs import CommandRun, JobRun, JobService, Run
from kedro_cloud.trigger.settings import FileTrigger
from kedro_cloud.workspace.changes import found, quietly

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

# In sh: run a command and record its exit code. When the process at the other end of standard input
# ends, even by SIGKILL, everything that was started is killed: two runs never process one file.
_SUPERVISED = (
    'trap : INT TERM; exec 3<&0 </dev/null; { read _ <&3; kill -KILL 0; } & "$@" 3<&-; code=$?; '
    'echo $code >"$0.new" && mv "$0.new" "$0"; exit $code'
)
_REFUSED = (400, 422)
"""Status codes of a service that does not accept the file; all others are its own faults."""


class StartRefusedError(Exception):
    """Azure ML does not accept the file: a failed attempt."""


Start = Callable[[ArrivedFile, Marker], Run]


@dataclass(frozen=True)
class Starter:
    """A way to start runs.

    Attributes:
        start: Starts the run of a file, given the marker of its claim, or resumes it.
        result_key: By name of a file, what its result is named after; two files with the same key
            would replace each other's result.
    """

    start: Start
    result_key: Callable[[str], str]


BuildCommand = Callable[[ArrivedFile, Path], Sequence[str]]
"""Returns program and arguments for a file, which may keep working files in a folder."""
Submit = Callable[["MLClient", ArrivedFile, str], Any]
"""Starts a job of this name for a file, and returns it."""
CompileJob = Callable[[Mapping[str, Any]], Any]
"""Returns the SDK's job of the pipeline with nested parameters."""


def local_starter(trigger: FileTrigger, params: Mapping[str, Any]) -> Starter:
    """Start `kedro run` on this machine, with nested parameters that all runs share."""
    _check_parameters(params, trigger.local_names)
    build = partial(kedro_run_command, trigger, params)
    return Starter(_command_start(build, trigger), lambda name: name.rpartition(".")[0])


def rehearsal_starter(trigger: FileTrigger, params: Mapping[str, Any]) -> Starter:
    """Start `kedro cloud rehearse` on this machine, with parameters that all rehearsals share."""
    _check_parameters(params, [trigger.file_parameter])
    build = partial(rehearse_command, trigger, params)
    return Starter(_command_start(build, trigger), _stem)


def endpoint_starter(trigger: FileTrigger, params: Mapping[str, Any], jobs: JobService) -> Starter:
    """Invoke the trigger's endpoint, with inputs that all jobs share."""
    name, inputs = trigger.trigger.endpoint, trigger.endpoint.inputs
    _check_parameters(params, [trigger.trigger.file_input])
    if unknown := [each for each in params if each not in inputs]:
        raise ValueError(
            f"endpoint '{name}' has no input '{unknown[0]}' (it has {', '.join(inputs)}); publish "
            "it with other inputs in cloud.yml, or leave it out"
        )
    return Starter(partial(start_job, partial(invoke_endpoint, trigger, params), jobs), _stem)


def job_starter(
    trigger: FileTrigger, params: Mapping[str, Any], jobs: JobService, compile_job: CompileJob
) -> Starter:
    """Submit a job of the trigger's pipeline, with parameters that all jobs share."""
    _check_parameters(params, [trigger.file_parameter])
    submit = partial(submit_job, trigger, params, compile_job)
    return Starter(partial(start_job, submit, jobs), _stem)


def _command_start(build: BuildCommand, trigger: FileTrigger) -> Start:
    # What is wrong with the settings is raised here, before a file is claimed.
    return partial(start_command, build, trigger, trigger.work_folder, trigger.summary_name)


def _check_parameters(params: Mapping[str, Any], own: Sequence[str]) -> None:
    for name in own:
        if name.partition(".")[0] in params:
            raise ValueError(f"parameter '{name}' is another for each file: leave it out")


def _stem(name: str) -> str:
    """Return the file name without folder and suffix: results of jobs lie in one folder."""
    return name.rpartition("/")[2].rpartition(".")[0]


def kedro_run_command(
    trigger: FileTrigger, params: Mapping[str, Any], file: ArrivedFile, work: Path
) -> list[str]:
    """Return the command of a local run."""
    given = trigger.run_parameters(params, trigger.local_parameters(file, work))
    # On a command line a comma in a name would separate two parameters.
    config = work / "run.json"
    run = {"pipelines": trigger.endpoint.pipeline, "params": given}
    config.write_text(json.dumps({"run": run}, ensure_ascii=False), encoding="utf-8")
    return [sys.executable, "-m", "kedro", "run", "--config", str(config)]


def rehearse_command(
    trigger: FileTrigger, params: Mapping[str, Any], file: ArrivedFile, work: Path
) -> list[str]:
    """Return the command of a rehearsal, which has a storage account of its own."""
    container = f"arrived/{work.name}"
    address = f"abfs://{container}/{Path(file.name).name}"
    given = trigger.run_parameters(params, {trigger.file_parameter: address})
    return [
        *(sys.executable, "-m", "kedro", "cloud", "rehearse", "-e", trigger.environment),
        *("-p", trigger.endpoint.pipeline, "--params", json.dumps(given, ensure_ascii=False)),
        *("--upload", f"{file.address}={container}"),
    ]


def start_command(
    build_command: BuildCommand,
    trigger: FileTrigger,
    folder: Path,
    summary: str | None,
    file: ArrivedFile,
    marker: Marker,
) -> CommandRun:
    """Start a command; not if it completed and only its watcher died before it recorded that."""
    key = hashlib.sha256(f"{file.address}\n{file.version}".encode()).hexdigest()[:16]
    work = folder / key
    work.mkdir(parents=True, exist_ok=True)
    exit_code = work / "ended"
    if exit_code.exists() and exit_code.read_text().strip() == "0":
        return CommandRun(work, None, summary)
    exit_code.unlink(missing_ok=True)
    command = build_command(file, work)
    with (work / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            ["sh", "-c", _SUPERVISED, str(exit_code), *command],
            cwd=trigger.project,
            env={**os.environ, **trigger.variables},
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return CommandRun(work, process, summary)


def start_job(submit: Submit, jobs: JobService, file: ArrivedFile, marker: Marker) -> JobRun:
    """Start an Azure ML job, or follow the one that was started for this attempt.

    Raises:
        StartRefusedError: Azure ML does not accept the file.
        AzureError: It does not answer, or the endpoint does not exist.
    """
    # The same name for whoever starts this attempt; another after `--again`.
    content = f"{file.address}\n{file.version}\n{marker.series}"
    key = hashlib.sha256(content.encode()).hexdigest()[:24]
    name = f"watch-{key}-{marker.attempts + 1}"
    # A watcher may have died between the start of a job and the update of the marker.
    if marker.job is not None or found(jobs.client.jobs.get, name) is not None:
        return JobRun(jobs, marker.job or name)
    try:
        with quietly():
            return JobRun(jobs, str(submit(jobs.client, file, name).name))
    except HttpResponseError as error:
        if error.status_code not in _REFUSED:
            raise
        from kedro_cloud.workspace import faults

        raise StartRefusedError(f"Azure ML refused it: {faults.summarize(error)}") from error


def invoke_endpoint(
    trigger: FileTrigger, params: Mapping[str, Any], client: MLClient, file: ArrivedFile, name: str
) -> Any:
    """Invoke the endpoint for a file; return the job."""
    from azure.ai.ml import Input

    declared = trigger.endpoint.inputs
    given = {**trigger.trigger.inputs, **params, trigger.trigger.file_input: file.address}
    inputs = {each: Input(type=declared[each].type, default=given[each]) for each in given}
    endpoint = trigger.trigger.endpoint
    return client.batch_endpoints.invoke(endpoint, inputs=inputs, job_name=name)


def submit_job(
    trigger: FileTrigger,
    params: Mapping[str, Any],
    compile_job: CompileJob,
    client: MLClient,
    file: ArrivedFile,
    name: str,
) -> Any:
    """Submit the pipeline as a job for a file; return the job."""
    job = compile_job(trigger.run_parameters(params, {trigger.file_parameter: file.address}))
    job.name = name
    return client.jobs.create_or_update(job)
