"""Silences advice of libraries to their makers, which a user of the project cannot follow."""

from __future__ import annotations

import logging
import os

_OF_SERVERS = (
    "ignore:ORJSONResponse is deprecated",  # FastAPI, to Kedro-Viz
    "ignore:starlette.middleware.wsgi is deprecated",  # Starlette, to MLflow
)
_ADVICE_TO_KEDRO_MLFLOW = "Add type hints to the `predict` method"


def quiet_servers() -> None:
    """Let Kedro-Viz and MLflow start without their libraries' advice to their makers.

    Their servers are processes of their own, which import those before they look at the project.
    """
    told = os.environ.get("PYTHONWARNINGS", "")
    missing = [rule for rule in _OF_SERVERS if rule not in told]
    if missing:
        os.environ["PYTHONWARNINGS"] = ",".join(filter(None, (told, *missing)))


def quiet_kedro_mlflow() -> None:
    """Send Python's warnings to the log, less MLflow's about a class inside kedro-mlflow.

    MLflow raises it under a warning filter of its own, before which others count for nothing; a
    filter of the log comes after that.
    """
    logging.captureWarnings(True)
    logging.getLogger("py.warnings").addFilter(_is_not_for_kedro_mlflow)


def _is_not_for_kedro_mlflow(record: logging.LogRecord) -> bool:
    return _ADVICE_TO_KEDRO_MLFLOW not in record.getMessage()
