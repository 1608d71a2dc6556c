"""`kedro azureml …`: the commands of kedro-azureml, with one-line messages for user errors.

The functions here first check what would otherwise fail late or hang, then call kedro-azureml.
"""

from __future__ import annotations

import copy
import json
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
from kedro.framework.project import pipelines
from kedro_azureml.cli import azureml_group

from kedro_cloud.cli.options import Command
from kedro_cloud.core import ranks
from kedro_cloud.core.config import ENVIRONMENT
from kedro_cloud.core.errors import is_traceback_requested
from kedro_cloud.core.startup import paused_garbage_collection
from kedro_cloud.jobs import snapshot, translation
from kedro_cloud.jobs.hooks import STEP
from kedro_cloud.publishing.inputs import with_inputs
from kedro_cloud.workspace import connection, faults

STEP_VARIABLE = "KEDRO_CLOUD_STEP"
"""Variable with the name of the current step, for the configuration."""
_HIDDEN = {
    # The SDK warns about experimental classes, six in every job.
    "azure.ai.ml._utils._experimental": "",
    # kedro-azureml copies every dataset into its own catalog.
    "kedro.io.data_catalog": "Replacing dataset",
    # kedro-azureml passes an argument that Kedro has deprecated.
    "kedro.framework.session.session": "`pipeline_name` is deprecated",
    # Kedro's advice to repeat the command: what failed in a step, fails again until it is fixed.
    "kedro_azureml.runner": "No nodes ran. Repeat the previous command",
}
"""Beginning of the log lines on which users cannot act, by logger."""

Callback = Callable[..., Any]


def compile_job(plugin: Callback, **options: Any) -> Any:
    """Translate a pipeline into a file, without a request to Azure.

    Args:
        plugin: Command of kedro-azureml that does it.
        **options: Its options.

    Raises:
        ValueError: Environment, pipeline or parameters are invalid.
    """
    _check_options(options)
    with paused_garbage_collection(), translation.disabled_tracking():
        return plugin(**options)


def run_job(plugin: Callback, **options: Any) -> Any:
    """Submit a pipeline, after checking snapshot size, workspace, step image and storage.

    Args and errors are those of `compile_job`.
    """
    _check_options(options)
    context = click.get_current_context().obj
    project = Path(context.metadata.project_path)
    snapshot.check_size(snapshot.uploaded_files(project))
    from kedro_cloud.monitoring.step_variables import step_variables

    client = connection.connect(project, context.env, options["subscription_id"])
    if not (options["aml_env"] or options["image"]):
        connection.check_step_image(client, project, context.env)
    connection.check_storage(client)
    variables = step_variables(client, project, context.env)
    # Later entries, from the command line, override earlier ones.
    given = [f"{name}={value}" for name, value in variables.items()]
    options["env_var"] = (*given, *options["env_var"])
    with paused_garbage_collection(), translation.disabled_tracking():
        return plugin(**options)


def execute_step(plugin: Callback, **options: Any) -> Any:
    """Run a step, in a job's container or in a rehearsal; arguments as of `compile_job`."""
    options["params"] = _with_inputs(options["params"])
    os.environ[STEP_VARIABLE] = options["node"]
    token = STEP.set((options["pipeline"], options["node"]))
    try:
        with paused_garbage_collection():
            done = plugin(**options)
    finally:
        STEP.reset(token)
    if ranks.rank() == 0:
        for name, folder in options["azure_outputs"]:
            _mark_folder(name, Path(folder))
    return done


def _with_inputs(params: str | None) -> str | None:
    """Return rank 0's parameters, with the endpoint's inputs added, on every rank.

    Azure ML documents the variables of inputs for the process that it starts, not for those that
    MPI starts on other nodes.

    Raises:
        ValueError: An input is missing or not valid; on every rank, so that none waits.
    """
    fault = None
    if ranks.rank() == 0:
        try:
            params = with_inputs(params)
        except ValueError as error:
            fault = error
    params, fault = ranks.broadcast((params, fault))
    if fault is not None:
        raise fault
    return params


def _check_options(options: Mapping[str, Any]) -> None:
    """Check environment, pipeline and parameters; raise ValueError if one is invalid."""
    context = click.get_current_context().obj
    _check_environment(Path(context.metadata.project_path), context.env)
    translation.check_pipeline_name(options["pipeline"], list(pipelines))
    _check_parameters(options["params"])


def _check_parameters(text: str | None) -> None:
    """Check that kedro-azureml can read `--params`, and pass them to the steps.

    Raises:
        ValueError: The text is not a JSON object, or has an apostrophe.
    """
    if not text:
        return
    try:
        given = json.loads(text)
    except ValueError as error:
        raise ValueError(
            f"--params is not JSON ({error}); use --params '{{\"seed\": 1}}'"
        ) from error
    if not isinstance(given, dict):
        raise ValueError(
            f"--params expects a JSON object, not {text}; use --params '{{\"seed\": 1}}'"
        )
    translation.check_apostrophes(given)


def _check_environment(project: Path, environment: str) -> None:
    """Check that an environment passes data between steps in folders of Azure ML.

    The alternative of kedro-azureml, pickles in a storage account, would put the account's key into
    each step, so it is not supported.

    Raises:
        ValueError: `pipeline_data_passing` is not enabled, or a setting is invalid.
    """
    passing = faults.workspace_settings(project, environment).get("pipeline_data_passing") or {}
    if not passing.get("enabled"):
        raise ValueError(
            f"environment '{environment}' is not for Azure ML: its azureml.yml does not set "
            "`pipeline_data_passing: {enabled: true}`; use `kedro azureml -e azureml …`"
        )


def _mark_folder(name: str, folder: Path) -> None:
    """Write a file into the folder of an output whose data the catalog stores elsewhere.

    Azure ML drops empty folders, and the next step could not mount a missing one.
    """
    if not any(folder.iterdir()):
        text = f"The catalog stores {name} elsewhere.\n"
        (folder / "kept_elsewhere.txt").write_text(text, encoding="utf-8")


def _is_shown(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(_HIDDEN[record.name])


def _shorten_record(record: logging.LogRecord) -> bool:
    """Replace the traceback of a failed job by one line."""
    error = record.exc_info[1] if record.exc_info else None
    message = faults.explain(error) if error else None
    if message and not is_traceback_requested():
        record.msg, record.args, record.exc_info = message, (), None
    return True


def _wrap(command: click.Command, callback: Callback) -> Command:
    """Return a command that passes kedro-azureml's callback to one of the functions above."""

    def call(**options: Any) -> Any:
        for name in _HIDDEN:
            logging.getLogger(name).addFilter(_is_shown)
        logging.getLogger("kedro_azureml.client").addFilter(_shorten_record)
        return callback(command.callback, **options)

    return Command(command.name, callback=call, params=command.params, help=command.help)


def _build_group(group: click.Group) -> click.Group:
    """Return kedro-azureml's group with the functions above and another default environment."""
    own = copy.copy(group)
    own.help = "Azure ML: translate pipelines into jobs, and submit them."
    own.params = [copy.copy(option) for option in group.params]
    for option in own.params:
        if option.name == "env":
            # kedro-azureml's own default is `local`, which is not for clusters.
            option.default = lambda: os.environ.get("KEDRO_ENV", ENVIRONMENT)
    callbacks = {"compile": compile_job, "run": run_job, "execute": execute_step}
    wrapped = {name: _wrap(group.commands[name], each) for name, each in callbacks.items()}
    own.commands = {**group.commands, **wrapped}
    return own


azureml = _build_group(azureml_group)
