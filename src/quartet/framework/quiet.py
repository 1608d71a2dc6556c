"""Silence messages for developers of libraries, on which users of the project cannot act."""

from __future__ import annotations

import logging
import os

_USELESS = (
    # MLflow, of a class of kedro-mlflow. MLflow's own warning filter overrides all others, so
    # Python's warnings are logged: a filter of the logger still applies.
    "Add type hints to the `predict` method",
    # Kedro's runners, of a failed run: what failed, fails again until it is fixed.
    "No nodes ran. Repeat the previous command",
)
"""Parts of the messages to drop."""
_LOGGERS = (
    "py.warnings",
    "kedro.runner.sequential_runner",
    "kedro.runner.parallel_runner",
    "kedro.runner.thread_runner",
    "quartet.framework.rank_runner",
)
_SERVER_FILTERS = (
    "ignore:ORJSONResponse is deprecated",  # FastAPI, to Kedro-Viz
    "ignore:starlette.middleware.wsgi is deprecated",  # Starlette, to MLflow
)


def quiet_libraries() -> None:
    """Drop the messages, in this process and in the servers of Kedro-Viz and MLflow."""
    logging.captureWarnings(True)
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_is_useful)
    # MLflow logs tracebacks of database errors, and raises the same errors.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    # The servers are processes that import these libraries before the project.
    filters = os.environ.get("PYTHONWARNINGS", "")
    missing = [each for each in _SERVER_FILTERS if each not in filters]
    if missing:
        os.environ["PYTHONWARNINGS"] = ",".join(filter(None, (filters, *missing)))


def _is_useful(record: logging.LogRecord) -> bool:
    message = record.getMessage()
    return not any(text in message for text in _USELESS)
