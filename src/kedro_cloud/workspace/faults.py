"""Read the settings of the workspace, and format errors of Azure ML in one line."""

from __future__ import annotations

import json
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)

from kedro_cloud.core import azureml_settings, config
from kedro_cloud.core.errors import describe, is_traceback_requested, is_user_error
from kedro_cloud.workspace.answers import (
    format_error_response,
    format_missing_cluster,
    is_from_storage,
)

# The SDK validates a job before it sends it, and reports errors as JSON or as a list of `(x)`.
_MESSAGE = re.compile(r'"message": "((?:[^"\\]|\\.)*)"')
_DETAIL = re.compile(r"^\(x\) (.+)$", re.MULTILINE)
_COLOUR = re.compile(r"\x1b\[\d*m")
_INVALID_COMPUTE = re.compile(
    r'"path": "jobs\.(?P<step>\w+)\.compute",\s*"value": "azureml:(?P<cluster>[^"]+)"'
)


def workspace_settings(project: Path, environment: str) -> dict[str, Any]:
    """Return the settings below `azure` in `azureml.yml`.

    Raises:
        ValueError: A setting is missing, unknown or invalid.
    """
    loader = config.loader(project, environment)
    return azureml_settings.read_settings(loader).azure.model_dump()


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
    """Raise user errors as one-line ClickExceptions, unless a traceback is requested."""
    try:
        yield
    except (Exception, _config_exception()) as error:
        message = explain(error)
        if message is None or is_traceback_requested():
            raise
        raise click.ClickException(message) from error


def summarize(error: BaseException) -> str:
    """Return an error of storage or Azure as one line."""
    return explain(error) or describe(error)


def explain(error: BaseException) -> str | None:
    """Return one line for a user error; None for a bug, whose traceback is needed."""
    if isinstance(error, AzureError):
        return _format_azure_error(error)
    is_ours = isinstance(error, Exception) and is_user_error(error)
    if is_ours or isinstance(error, _config_exception()):
        return describe(error)
    last = traceback.extract_tb(error.__traceback__)[-1:]
    # The messages of these functions of kedro-azureml do not name the setting.
    function = last[0].name if last else ""
    if function == "_get_kedro_param":
        return (
            f"step {error} is distributed: set the number of machines (step_nodes) and the ranks "
            "per machine (step_processes) in parameters.yml"
        )
    return f"--env-var: {describe(error)}" if function == "parse_extra_env_params" else None


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
    if isinstance(error, HttpResponseError):
        return format_error_response(error, message)
    return message


def _main_message(text: str) -> str:
    """Return the first problem in an error message of the SDK."""
    text = _COLOUR.sub("", text)
    if found := _MESSAGE.search(text):
        text = json.loads(f'"{found[1]}"')
    elif found := _DETAIL.search(text):
        text = found[1]
    return describe(Exception(text.strip().partition("\n")[0]))
