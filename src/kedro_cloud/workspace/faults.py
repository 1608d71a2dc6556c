"""Check settings and credentials for Azure ML, and format its errors in one line."""

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
"""Environment variable by setting of `azureml.yml`."""
_SCOPE = "https://management.azure.com/.default"
# The SDK validates a job before it sends it, and reports errors as JSON or as a list of `(x)`.
_MESSAGE = re.compile(r'"message": "((?:[^"\\]|\\.)*)"')
_DETAIL = re.compile(r"^\(x\) (.+)$", re.MULTILINE)
_COLOUR = re.compile(r"\x1b\[\d*m")
_INVALID_COMPUTE = re.compile(
    r'"path": "jobs\.(?P<step>\w+)\.compute",\s*"value": "azureml:(?P<cluster>[^"]+)"'
)


def check_parameters(text: str | None) -> None:
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
    translation.check_texts(given)


def check_workspace_settings(project: Path, environment: str, subscription: str) -> None:
    """Check that an environment sets subscription, resource group and workspace.

    Args:
        project: Root folder of the Kedro project.
        environment: Folder of `conf`.
        subscription: Subscription ID from the command line, or "".

    Raises:
        ValueError: Settings are missing; the message names all, and where to set them.
    """
    settings = workspace_settings(project, environment)
    if subscription:
        settings["subscription_id"] = subscription
    missing = [name for name in _WORKSPACE if settings.get(name) in (None, "", "not-set")]
    if missing:
        variables = " ".join(f"{_WORKSPACE[name]}=…" for name in missing)
        raise ValueError(
            f"workspace settings are missing: {', '.join(missing)}; set them in "
            f"conf/{environment}/azureml.yml, or export {variables}"
        )


def check_environment(project: Path, environment: str) -> None:
    """Check that an environment passes data between steps in folders of Azure ML.

    The alternative of kedro-azureml, pickles in a storage account, would put the account's key into
    each step, so it is not supported.

    Raises:
        ValueError: `pipeline_data_passing` is not enabled.
    """
    passing = workspace_settings(project, environment).get("pipeline_data_passing") or {}
    if not passing.get("enabled"):
        raise ValueError(
            f"environment '{environment}' is not for Azure ML: its azureml.yml does not set "
            "`pipeline_data_passing: {enabled: true}`; use `kedro azureml -e azureml …`"
        )


def workspace_settings(project: Path, environment: str) -> dict[str, Any]:
    """Return the settings below `azure` in `azureml.yml`."""
    return dict(config.loader(project, environment)["azureml"]["azure"])


def check_snapshot(project: Path) -> None:
    """Check that the code does not exceed Azure ML's limit.

    Raises:
        ValueError: It does; the message names the largest files.
    """
    files = snapshot.uploaded_files(project)
    snapshot.check_size({name: path.stat().st_size for path, name in files})


def check_credential() -> None:
    """Check that an identity is signed in.

    Otherwise kedro-azureml would open a browser and wait for it for five minutes.

    Raises:
        ValueError: No identity is signed in; the message has the code of Microsoft Entra, if any.
    """
    from azure.identity import DefaultAzureCredential

    # As in kedro-azureml: on a compute instance the managed identity may lack permissions.
    credential = DefaultAzureCredential(
        exclude_managed_identity_credential="MSI_ENDPOINT" in os.environ
    )
    chain = logging.getLogger("azure.identity")
    level = chain.level
    chain.setLevel(logging.ERROR)  # it logs each kind of credential that it has tried
    try:
        credential.get_token(_SCOPE)
    except Exception as error:
        raise ValueError(format_credential_error(str(error))) from error
    finally:
        chain.setLevel(level)
        credential.close()


def format_credential_error(message: str) -> str:
    """Return one line for a missing, expired or rejected credential.

    Args:
        message: Message of the SDK; only its line with a code of Microsoft Entra is used.
    """
    code = re.search(r"AADSTS\d+: [^\n]*?[.\n]", message)
    reason = f" ({code[0].strip().rstrip('.')})" if code else ""
    return (
        f"not signed in to Azure{reason}: run `az login`, or set AZURE_TENANT_ID, "
        "AZURE_CLIENT_ID and AZURE_CLIENT_SECRET of a service principal"
    )


def _config_exception() -> type[BaseException]:
    """Return kedro-azureml's configuration error: a BaseException, and slow to import."""
    from kedro_azureml.generator import ConfigException

    config_exception: type[BaseException] = ConfigException
    return config_exception


@contextmanager
def short_errors() -> Iterator[None]:
    """Raise user errors of kedro-azureml, the SDK and Azure as one-line ClickExceptions."""
    try:
        yield
    except (Exception, _config_exception()) as error:
        message = explain(error)
        if message is None or is_traceback_requested():
            raise
        raise click.ClickException(message) from error


def call_with_short_errors(
    command: Callable[..., Result], *arguments: Any, **options: Any
) -> Result:
    """Call a command; a user error ends it in one line and exit code 1."""
    with short_errors():
        result: Result = one_line_errors(command)(*arguments, **options)
    return result


def summarize(error: BaseException) -> str:
    """Return an error of storage or Azure as one line."""
    return explain(error) or describe(error)


def explain(error: BaseException) -> str | None:
    """Return one line for a user error; None for a bug, whose traceback is needed."""
    if isinstance(error, AzureError):
        return _format_azure_error(error)
    if isinstance(error, _config_exception()):
        return describe(error)
    last = traceback.extract_tb(error.__traceback__)[-1:]
    function = last[0].name if last else ""
    if function == "_get_kedro_param":
        return (
            f"step {error} is distributed: set the number of machines (step_nodes) and the ranks "
            "per machine (step_processes) in parameters.yml"
        )
    if function == "parse_extra_env_params":
        return f"--env-var: {describe(error)}"
    return None


def _format_azure_error(error: AzureError) -> str:
    text = str(error)
    invalid = _INVALID_COMPUTE.search(text)
    message = _main_message(text)
    if isinstance(error, ServiceRequestError | ServiceResponseError):
        return f"Azure cannot be reached ({message}); check this machine's network connection"
    if invalid and "not found" in message:
        missing = format_missing_cluster("the workspace", invalid["cluster"], message)
        return f"step '{invalid['step']}': {missing}"
    if isinstance(error, ClientAuthenticationError) and not is_from_storage(error):
        return format_credential_error(text)
    return format_refusal(error, message) if isinstance(error, HttpResponseError) else message


def _main_message(text: str) -> str:
    """Return the first problem in an error message of the SDK."""
    text = _COLOUR.sub("", text)
    if found := _MESSAGE.search(text):
        text = json.loads(f'"{found[1]}"')
    elif found := _DETAIL.search(text):
        text = found[1]
    return describe(Exception(text.strip().partition("\n")[0]))


def is_workspace_wide(error: BaseException) -> bool:
    """Return whether an error affects all requests to the workspace."""
    if isinstance(error, ServiceRequestError | ServiceResponseError | ClientAuthenticationError):
        return True
    return isinstance(error, HttpResponseError) and (
        error.status_code == HTTPStatus.TOO_MANY_REQUESTS or is_workspace_missing(error)
    )
