"""Kedro's project settings: hooks, configuration resolvers, process-wide switches."""

import os
import warnings
from functools import partial
from pathlib import Path

import fsspec

from kedro_cloud.core import ranks
from kedro_cloud.core.hooks import NoTracking
from kedro_cloud.hooks import HOOKS as PLUGIN_HOOKS
from kedro_cloud.jobs.hooks import STEP
from kedro_cloud.provisioning.environment import image_reference
from quartet.datasets.atomic import AtomicLocalFileSystem
from quartet.framework.context import Context
from quartet.framework.hooks import (
    DistributedHooks,
    ErrorContextHooks,
    LogHooks,
    PreflightHooks,
    SummaryHooks,
    TrackingHooks,
    TurnHooks,
)
from quartet.framework.plugins import defer_heavy_plugins
from quartet.framework.quiet import quiet_kedro_mlflow, quiet_servers
from quartet.pipeline_registry import SAMPLE_RUN

# OpenMP's threads spin while they wait. Beside any other busy process each parallel region then
# loses a scheduler tick, 8 ms against microseconds of work; asleep they cost next to nothing.
# Read when PyTorch is first imported, which is after this.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# MLflow has its own handler, and tells of every table it makes in a new database.
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")

# MLflow tells its makers of every run, and where there is no network waits for them.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

# Kedro calls OmegaConf by a name that the latest OmegaConf is about to drop.
warnings.filterwarnings("ignore", message=r"register_new_resolver\(\) is deprecated")

# Every dataset that writes through fsspec gets write-beside-and-rename.
fsspec.register_implementation("file", AtomicLocalFileSystem, clobber=True)

# Where the project is not installed, as on a cluster, Kedro calls none of its entry points: here is
# the first moment at which commands of heavy plugins can be deferred.
defer_heavy_plugins()
quiet_kedro_mlflow()
quiet_servers()

CONTEXT_CLASS = Context

HOOKS = (
    TurnHooks(),
    PreflightHooks(),
    *PLUGIN_HOOKS,
    TrackingHooks(),
    DistributedHooks(),
    ErrorContextHooks(),
    LogHooks(),
    SummaryHooks(SAMPLE_RUN, STEP.get),
    # One MLflow run a command, however many ranks run it.
    *([NoTracking()] if ranks.rank() > 0 else []),
)

CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    "merge_strategy": {"parameters": "soft"},  # an override names only what it changes
    "config_patterns": {
        "azureml": ["azureml*"],
        "mlflow": ["mlflow*"],
        "downloads": ["downloads*"],
    },
    "custom_resolvers": {
        # ${env:NAME,default} in any file; Kedro allows ${oc.env:NAME} in credentials only.
        "env": lambda name, default=None: os.environ.get(name, default),
        # ${image:cpu}: the Azure ML environment whose name is made from the lock file.
        "image": partial(image_reference, Path(__file__).parents[2]),
    },
}
