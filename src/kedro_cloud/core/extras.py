"""Report which extra of the project brings a missing optional package.

The names are those of `[project.optional-dependencies]` in `pyproject.toml`.
"""

from __future__ import annotations

import importlib.util
import sys

EXTRAS = {
    "adlfs": "azure",
    "azure": "azure",
    "azureml": "azure",
    "kedro_azureml": "azure",
    "grpc": "mpi",
    "mpi4py": "mpi",
    "onnxruntime": "semantic",
    "tokenizers": "semantic",
    "starlette": "serve",
    "uvicorn": "serve",
    "pyodbc": "sql",
    "streamlit": "try",
}
"""Extra by top-level module."""
_AZURE_BELOW = (3, 13)
"""First Python for which kedro-azureml is not available."""


def find_extra(error: BaseException) -> str | None:
    """Return the extra whose absence raised an error; None for any other error."""
    if isinstance(error, ModuleNotFoundError) and error.name:
        return EXTRAS.get(error.name.partition(".")[0])
    return None


def is_installed(module: str) -> bool:
    """Return whether a top-level module can be imported, without importing it."""
    return importlib.util.find_spec(module) is not None


def format_missing(what: str, extra: str) -> str:
    """Return the message that something needs an extra, with the command that installs it."""
    if extra == "azure" and sys.version_info >= _AZURE_BELOW:
        return f"{what} needs the extra azure, which is available for Python 3.11 and 3.12 only"
    return f"{what} needs the extra {extra}: pip install -e '.[{extra}]'"


def check_installed(what: str, module: str) -> None:
    """Check that a module of an extra is installed.

    Args:
        what: What needs it, for the message.
        module: Top-level module.

    Raises:
        ValueError: It is not installed.
    """
    if not is_installed(module):
        raise ValueError(format_missing(what, EXTRAS[module]))
