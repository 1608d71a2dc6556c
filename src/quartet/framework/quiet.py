"""Silence warnings for developers of libraries, on which users of the project cannot act."""

from __future__ import annotations

import logging
import os

_SERVER_FILTERS = (
    "ignore:ORJSONResponse is deprecated",  # FastAPI, to Kedro-Viz
    "ignore:starlette.middleware.wsgi is deprecated",  # Starlette, to MLflow
)
_RUNNERS = [f"kedro.runner.{kind}_runner" for kind in ("sequential", "parallel", "thread")] + [
    "quartet.framework.rank_runner"
]
_USELESS_ADVICE = "No nodes ran. Repeat the previous command"
_MLFLOW_DATABASE = "mlflow.store.db.utils"
_KEDRO_MLFLOW_WARNING = "Add type hints to the `predict` method"


def quiet_servers() -> None:
    """Ignore deprecation warnings in the servers of Kedro-Viz and MLflow.

    The servers are separate processes that import these libraries before the project, so the
    filters are passed in `PYTHONWARNINGS`.
    """
    filters = os.environ.get("PYTHONWARNINGS", "")
    missing = [each for each in _SERVER_FILTERS if each not in filters]
    if missing:
        os.environ["PYTHONWARNINGS"] = ",".join(filter(None, (filters, *missing)))


def quiet_kedro_mlflow() -> None:
    """Send Python's warnings to the log, except MLflow's about a class of kedro-mlflow.

    MLflow raises that warning under its own warning filter, which overrides all others; a filter
    on the logger still applies.
    """
    logging.captureWarnings(True)
    logging.getLogger("py.warnings").addFilter(_is_relevant)


def quiet_mlflow_database() -> None:
    """Drop MLflow's tracebacks of database errors: it raises the same errors."""
    logging.getLogger(_MLFLOW_DATABASE).setLevel(logging.CRITICAL)


def quiet_runners() -> None:
    """Drop Kedro's advice to repeat the command: what failed, fails again until it is fixed."""
    for name in _RUNNERS:
        logging.getLogger(name).addFilter(_is_useful)


def _is_useful(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(_USELESS_ADVICE)


def _is_relevant(record: logging.LogRecord) -> bool:
    return _KEDRO_MLFLOW_WARNING not in record.getMessage()
