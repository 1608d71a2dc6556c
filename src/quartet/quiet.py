"""Keeps third parties quiet, where the noise arises, about what only their makers can change."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from quartet.importing import import_within

PLUGIN = "kedro_mlflow"
_ADVISED = f"{PLUGIN}.mlflow.kedro_pipeline_model"
_OF_SERVERS = (
    "ignore:ORJSONResponse is deprecated",  # FastAPI, to Kedro-Viz
    "ignore:starlette.middleware.wsgi is deprecated",  # Starlette, to MLflow
)


def quiet_servers() -> None:
    """Let Kedro-Viz and MLflow start without their libraries' advice to their makers.

    Their servers are processes of their own, which import those before they look at the project.
    """
    told = os.environ.get("PYTHONWARNINGS", "")
    missing = [rule for rule in _OF_SERVERS if rule not in told]
    if missing:
        os.environ["PYTHONWARNINGS"] = ",".join(filter(None, (told, *missing)))


def quiet_kedro_mlflow() -> None:
    """From now on, let kedro-mlflow be imported without its noise, whoever imports it.

    On import MLflow advises on a class inside the plugin, with a filter of its own before which
    others count for nothing, and the plugin sets its own logger to tell every detail.
    """
    import_within(_quietly, (PLUGIN, _ADVISED))


@contextmanager
def _quietly() -> Iterator[None]:
    with warnings.catch_warnings(record=True):
        yield
    logging.getLogger(PLUGIN).setLevel(logging.WARNING)
