"""`kedro azureml …`: the commands of kedro-azureml, with what a user can mend told in one line.

The plugin's own functions do the work. Before them comes what would make them fail late or
hang, after them what they leave to others.
"""

from __future__ import annotations

import copy
import functools
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from kedro.framework.project import pipelines
from kedro_azureml.cli import azureml_group

from kedro_cloud.core import ranks
from kedro_cloud.core.config import ENVIRONMENT
from kedro_cloud.core.errors import is_traceback_requested, one_line_errors
from kedro_cloud.core.startup import paused_garbage_collection
from kedro_cloud.jobs import translation
from kedro_cloud.jobs.hooks import STEP
from kedro_cloud.publishing.inputs import with_inputs
from kedro_cloud.workspace import connection, faults

STEP_VARIABLE = "KEDRO_CLOUD_STEP"
"""Tells the configuration which step this is."""

Command = Callable[..., Any]


def compile_job(plugin: Command, **options: Any) -> Any:
    """Translate a pipeline into a file; nothing is asked of Azure."""
    _check_command(options)
    with paused_garbage_collection(), translation.disabled_tracking(), _quietly():
        return plugin(**options)


def run_job(plugin: Command, **options: Any) -> Any:
    """Submit a pipeline, once all is there that it takes."""
    _check_command(options)
    context = click.get_current_context().obj
    project = Path(context.metadata.project_path)
    faults.check_snapshot(project)
    from kedro_cloud.monitoring.step_variables import step_variables

    client = connection.connect(project, context.env, options["subscription_id"])
    if not (options["aml_env"] or options["image"]):
        connection.check_image(client, project, context.env)
    connection.check_storage(client)
    told = step_variables(client, project, context.env)
    # What the command line says comes last, and wins.
    options["env_var"] = (*(f"{name}={told[name]}" for name in told), *options["env_var"])
    with paused_garbage_collection(), translation.disabled_tracking(), _quietly():
        return plugin(**options)


def execute_step(plugin: Command, **options: Any) -> Any:
    """Run a step, in a job's container or in a rehearsal."""
    options["params"] = with_inputs(options["params"])
    os.environ[STEP_VARIABLE] = options["node"]
    token = STEP.set((options["pipeline"], options["node"]))
    try:
        with paused_garbage_collection(), _quietly():
            done = plugin(**options)
    finally:
        STEP.reset(token)
    if ranks.rank() == 0:
        for name, folder in options["azure_outputs"]:
            _mark_folder(name, Path(folder))
    return done


def _check_command(options: Mapping[str, Any]) -> None:
    """Raise if the command line asks for what cannot be translated."""
    context = click.get_current_context().obj
    faults.check_environment(Path(context.metadata.project_path), context.env)
    translation.check_pipeline_name(options["pipeline"], list(pipelines))
    faults.check_parameters(options["params"])


def _mark_folder(name: str, folder: Path) -> None:
    """Fill the folder of an output that lies elsewhere.

    Azure ML keeps no empty folders, and the next step could not mount what is not there.
    """
    if not any(folder.iterdir()):
        text = f"The catalog keeps {name} at a place of its own.\n"
        (folder / "kept_elsewhere.txt").write_text(text, encoding="utf-8")


@contextmanager
def _quietly() -> Iterator[None]:
    """Leave out lines that tell a user nothing to do, at the loggers they come from."""
    silenced = {
        # Each class of the SDK that is not final yet says so, six in every job.
        "azure.ai.ml._utils._experimental": "",
        # The plugin puts every dataset into its own catalog, and the step's folders into these.
        "kedro.io.data_catalog": "Replacing dataset",
        # The plugin still calls Kedro by a name of last year.
        "kedro.framework.session.session": "`pipeline_name` is deprecated",
    }
    filters = {logging.getLogger(name): _without(text) for name, text in silenced.items()}
    filters[logging.getLogger("kedro_azureml.client")] = _shorten_record
    for logger, kept in filters.items():
        logger.addFilter(kept)
    try:
        yield
    finally:
        for logger, kept in filters.items():
            logger.removeFilter(kept)


def _without(text: str) -> Callable[[logging.LogRecord], bool]:
    return lambda record: not record.getMessage().startswith(text)


def _shorten_record(record: logging.LogRecord) -> bool:
    """Put why a job failed, or could not be followed, into the place of a traceback."""
    error = record.exc_info[1] if record.exc_info else None
    told = faults.explain(error) if error else None
    if told and not is_traceback_requested():
        record.msg, record.args, record.exc_info = told, (), None
    return True


def _with_short_errors(before: Command, plugin: Command) -> Command:
    """The plugin's function after one of those above, with their faults in one line."""

    @functools.wraps(plugin)
    def command(**options: Any) -> Any:
        with faults.short_errors():
            return one_line_errors(before)(plugin, **options)

    return command


def _with_callback(command: click.Command, before: Command) -> click.Command:
    own = copy.copy(command)
    assert command.callback is not None
    own.callback = _with_short_errors(before, command.callback)
    return own


def _build_group(group: click.Group) -> click.Group:
    """The plugin's group with the functions above, and with an environment of its own."""
    own = copy.copy(group)
    own.help = "Azure ML: translate pipelines into jobs, and submit them."
    own.params = [copy.copy(option) for option in group.params]
    for option in own.params:
        if option.name == "env":
            # The plugin itself takes `local`, which no cluster has.
            option.default = lambda: os.environ.get("KEDRO_ENV", ENVIRONMENT)
    before: Mapping[str, Command] = {
        "compile": compile_job,
        "run": run_job,
        "execute": execute_step,
    }
    own.commands = {
        name: _with_callback(command, before[name]) if name in before else command
        for name, command in group.commands.items()
    }
    return own


azureml = _build_group(azureml_group)
