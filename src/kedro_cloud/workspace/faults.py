"""What can be amiss between this machine and Azure ML, each told in one line."""

from __future__ import annotations

import json
import logging
import os
import re
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar

import click
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)

from kedro_cloud.core import config
from kedro_cloud.core.errors import describe, is_traceback_requested, one_line_errors
from kedro_cloud.jobs import snapshot, translation
from kedro_cloud.workspace.answers import (
    format_missing_cluster,
    format_refusal,
    is_from_storage,
    is_workspace_missing,
)

Result = TypeVar("Result")
_WORKSPACE = {
    "subscription_id": "AZURE_SUBSCRIPTION_ID",
    "resource_group": "AZURE_RESOURCE_GROUP",
    "workspace_name": "AZURE_ML_WORKSPACE",
}
"""By setting of `azureml.yml`: the variable that it is taken from."""
_SCOPE = "https://management.azure.com/.default"
# The SDK checks a job before it sends it, and says what it found as JSON or as a numbered text.
_MESSAGE = re.compile(r'"message": "((?:[^"\\]|\\.)*)"')
_DETAIL = re.compile(r"^\(x\) (.+)$", re.MULTILINE)
_COLOUR = re.compile(r"\x1b\[\d*m")
_UNFIT = re.compile(
    r'"path": "jobs\.(?P<step>\w+)\.compute",\s*"value": "azureml:(?P<cluster>[^"]+)"'
)


def check_parameters(text: str | None) -> None:
    """Raise if the plugin could not read `--params`, or not hand them to the steps.

    Raises:
        ValueError: They are no JSON object, or have an apostrophe.
    """
    if not text:
        return
    try:
        given = json.loads(text)
    except ValueError as error:
        raise ValueError(
            f"--params is no JSON ({error}); write --params '{{\"seed\": 1}}'"
        ) from error
    if not isinstance(given, dict):
        raise ValueError(
            f"--params takes a JSON object, not {text}; write --params '{{\"seed\": 1}}'"
        )
    translation.check_texts(given)


def check_workspace_settings(project: Path, environment: str, subscription: str) -> None:
    """Raise if it is not said where jobs go.

    Args:
        project: Kedro's.
        environment: Folder of `conf`.
        subscription: What the command line says, if it does.

    Raises:
        ValueError: Names every setting that is missing, and where it can be set.
    """
    here = workspace_settings(project, environment)
    if subscription:
        here["subscription_id"] = subscription
    missing = [name for name in _WORKSPACE if here.get(name) in (None, "", "not-set")]
    if missing:
        variables = " ".join(f"{_WORKSPACE[name]}=…" for name in missing)
        raise ValueError(
            f"it is not set where the job goes: {', '.join(missing)}; write it into "
            f"conf/{environment}/azureml.yml, or export {variables}"
        )


def check_environment(project: Path, environment: str) -> None:
    """Raise if steps would not hand their data on in folders of Azure ML.

    The plugin's other way, pickles in a storage account whose key stands in each step, is none.

    Raises:
        ValueError: Names an environment that is meant for Azure ML.
    """
    passing = workspace_settings(project, environment).get("pipeline_data_passing") or {}
    if not passing.get("enabled"):
        raise ValueError(
            f"environment '{environment}' is not for Azure ML: its azureml.yml does not say "
            "`pipeline_data_passing: {enabled: true}`; use `kedro azureml -e azureml …`"
        )


def workspace_settings(project: Path, environment: str) -> dict[str, Any]:
    """What `azureml.yml` says of the workspace and its jobs."""
    return dict(config.loader(project, environment)["azureml"]["azure"])


def check_snapshot(project: Path) -> None:
    """Raise if the code is more than Azure ML accepts.

    Raises:
        ValueError: Names the largest files.
    """
    files = snapshot.uploaded_files(project)
    snapshot.check_size({name: path.stat().st_size for path, name in files})


def check_credential() -> None:
    """Raise if Azure would not know who is asking.

    The plugin would then open a browser and wait for it, five minutes, also where nobody sees it.

    Raises:
        ValueError: With what Azure said of the credential, if it said something.
    """
    from azure.identity import DefaultAzureCredential

    # As the plugin does: on a compute instance the managed identity may do too little.
    credential = DefaultAzureCredential(
        exclude_managed_identity_credential="MSI_ENDPOINT" in os.environ
    )
    chain = logging.getLogger("azure.identity")
    level = chain.level
    chain.setLevel(logging.ERROR)  # it tells of each kind of credential it has tried
    try:
        credential.get_token(_SCOPE)
    except Exception as error:
        raise ValueError(format_credential_error(str(error))) from error
    finally:
        chain.setLevel(level)
        credential.close()


def format_credential_error(said: str) -> str:
    """The line for a missing, expired or refused credential.

    Args:
        said: What the SDK said; of all its lines only a code of Microsoft Entra tells something.
    """
    told = re.search(r"AADSTS\d+: [^\n]*?[.\n]", said)
    because = f" ({told[0].strip().rstrip('.')})" if told else ""
    return (
        f"Azure does not know who you are{because}: run `az login`, or set AZURE_TENANT_ID, "
        "AZURE_CLIENT_ID and AZURE_CLIENT_SECRET of a service principal"
    )


def _config_exception() -> type[BaseException]:
    """Return what the plugin raises for its configuration; not an Exception, and slow to import."""
    from kedro_azureml.generator import ConfigException

    config_exception: type[BaseException] = ConfigException
    return config_exception


@contextmanager
def short_errors() -> Iterator[None]:
    """End in one line what the plugin, the SDK and Azure say of a user's own doing."""
    try:
        yield
    except (Exception, _config_exception()) as error:
        told = explain(error)
        if told is None or is_traceback_requested():
            raise
        raise click.ClickException(told) from error


def call_with_short_errors(
    command: Callable[..., Result], *arguments: Any, **options: Any
) -> Result:
    """Call a command; a fault that its user can fix ends it in one line and exit code 1."""
    with short_errors():
        result: Result = one_line_errors(command)(*arguments, **options)
    return result


def summarize(error: BaseException) -> str:
    """Return an error of storage or Azure as one line."""
    return explain(error) or describe(error)


def explain(error: BaseException) -> str | None:
    """The line for an error; None for a fault of the program, of which all should be seen."""
    if isinstance(error, AzureError):
        return _format_azure_error(error)
    if isinstance(error, _config_exception()):
        return describe(error)
    last = traceback.extract_tb(error.__traceback__)[-1:]
    function = last[0].name if last else ""
    if function == "_get_kedro_param":
        return (
            f"step {error} runs on several machines: say in parameters.yml on how many "
            "(step_nodes), and how many ranks each of them has (step_processes)"
        )
    if function == "parse_extra_env_params":
        return f"--env-var: {describe(error)}"
    return None


def _format_azure_error(error: AzureError) -> str:
    """The line for what the SDK raises."""
    text = str(error)
    unfit = _UNFIT.search(text)
    said = _essence(text)
    if isinstance(error, ServiceRequestError | ServiceResponseError):
        return f"Azure cannot be reached ({said}); see whether this machine has a network"
    if unfit and "not found" in said:
        return f"step '{unfit['step']}': " + format_missing_cluster(
            "the workspace", unfit["cluster"], said
        )
    if isinstance(error, ClientAuthenticationError) and not is_from_storage(error):
        return format_credential_error(text)
    return format_refusal(error, said) if isinstance(error, HttpResponseError) else said


def _essence(text: str) -> str:
    """Of all that the SDK says in an error, the first thing that it found amiss."""
    text = _COLOUR.sub("", text)
    if found := _MESSAGE.search(text):
        text = json.loads(f'"{found[1]}"')
    elif found := _DETAIL.search(text):
        text = found[1]
    return describe(Exception(text.strip().partition("\n")[0]))


def is_workspace_wide(error: BaseException) -> bool:
    """Whether after this error nothing else can be done in the workspace either."""
    if isinstance(error, ServiceRequestError | ServiceResponseError | ClientAuthenticationError):
        return True
    return isinstance(error, HttpResponseError) and (
        error.status_code == HTTPStatus.TOO_MANY_REQUESTS or is_workspace_missing(error)
    )
