"""Kedro's project settings: hooks, configuration resolvers, process-wide switches."""

import os
import warnings

import fsspec

from quartet import distributed
from quartet.azure import storage
from quartet.azure.hooks import STEP, StepHooks, ValidationHooks, image_reference
from quartet.azure.monitoring.hooks import TelemetryHooks, is_on
from quartet.azure.timing import StepReportHooks
from quartet.context import Context
from quartet.datasets.atomic import AtomicLocalFileSystem
from quartet.hooks import (
    DistributedHooks,
    ErrorContextHooks,
    LogHooks,
    NoTracking,
    PreflightHooks,
    TrackingHooks,
    TurnHooks,
)
from quartet.pipeline_registry import SAMPLE_RUN
from quartet.plugins import defer_heavy_plugins
from quartet.quiet import quiet_kedro_mlflow, quiet_servers
from quartet.startup import StartHooks
from quartet.summary import SummaryHooks

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
storage.register()

# Where Quartet is not installed, as on a cluster, Kedro calls no entry point of it: the commands of
# heavy plugins can be deferred from here on only.
defer_heavy_plugins()
quiet_kedro_mlflow()
quiet_servers()

CONTEXT_CLASS = Context

HOOKS = (
    TurnHooks(),
    PreflightHooks(),
    storage.StorageHooks(),
    StepHooks(),
    ValidationHooks(),
    TrackingHooks(),
    DistributedHooks(),
    ErrorContextHooks(),
    StepReportHooks(),
    StartHooks(),
    LogHooks(),
    SummaryHooks(SAMPLE_RUN, STEP.get),
    # One MLflow run a command, however many ranks run it.
    *([NoTracking()] if distributed.rank() > 0 else []),
    # Tells Application Insights of the run, where there is one to be told.
    *([TelemetryHooks()] if is_on() else []),
)

CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    "merge_strategy": {"parameters": "soft"},  # an override names only what it changes
    "config_patterns": {
        "azureml": ["azureml*"],
        "cloud": ["cloud*"],
        "planning": ["planning*", "prices*"],
        "mlflow": ["mlflow*"],
        "downloads": ["downloads*"],
    },
    "custom_resolvers": {
        # ${env:NAME,default} in any file; Kedro allows ${oc.env:NAME} in credentials only.
        "env": lambda name, default=None: os.environ.get(name, default),
        # ${image:cpu}: the Azure ML environment whose name is made from the lock file.
        "image": image_reference,
    },
}
