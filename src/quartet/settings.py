"""Configure Kedro for the project: hooks, configuration resolvers, process-wide settings."""

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
from quartet.framework.config_loader import ConfigLoader, name_experiment
from quartet.framework.context import Context
from quartet.framework.hooks import (
    DistributedHooks,
    ErrorContextHooks,
    InputHooks,
    NodeLogHooks,
    PasswordHooks,
    PreflightHooks,
    SetupLockHooks,
    SummaryHooks,
    TrackingHooks,
)
from quartet.framework.plugins import defer_heavy_plugins
from quartet.framework.quiet import quiet_libraries
from quartet.pipeline_registry import SAMPLE_RUN, SCENARIOS

# By default OpenMP's threads spin while they wait. Next to another busy process each parallel
# region then loses a scheduler tick: 8 ms for microseconds of work. Sleeping threads do not.
# PyTorch reads the variable on import, which happens later.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# MLflow has its own log handler, and logs every table that it creates in a new database.
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")

# MLflow sends telemetry on every run, and waits for the connection where there is no network.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

# Kedro calls a function that OmegaConf has deprecated.
warnings.filterwarnings("ignore", message=r"register_new_resolver\(\) is deprecated")

# Every dataset that writes through fsspec writes a temporary file and renames it.
fsspec.register_implementation("file", AtomicLocalFileSystem, clobber=True)

# Where the project is not installed, as on a cluster, Kedro calls none of its entry points, so
# heavy plugins are deferred here.
defer_heavy_plugins()
quiet_libraries()

CONTEXT_CLASS = Context

HOOKS = (
    SetupLockHooks(),
    PreflightHooks(),
    InputHooks(),
    PasswordHooks(),
    *PLUGIN_HOOKS,
    TrackingHooks(),
    DistributedHooks(),
    ErrorContextHooks(),
    NodeLogHooks(),
    SummaryHooks(SAMPLE_RUN, STEP.get),
    # One MLflow run per command, regardless of the number of ranks.
    *([NoTracking()] if ranks.rank() > 0 else []),
)

CONFIG_LOADER_CLASS = ConfigLoader

CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    # An override names only what it changes.
    "merge_strategy": {"parameters": "soft", "mlflow": "soft"},
    "config_patterns": {
        "azureml": ["azureml*"],
        "mlflow": ["mlflow*"],
        "downloads": ["downloads*"],
    },
    "custom_resolvers": {
        # ${env:NAME,default} works in any file; Kedro allows ${oc.env:NAME} in credentials only.
        "env": lambda name, default=None: os.environ.get(name, default),
        # ${experiment:quartet}: the MLflow experiment, quartet-SCENARIO for a run of one scenario.
        "experiment": partial(name_experiment, SCENARIOS),
        # ${image:cpu}: the Azure ML environment, named by the hash of the lock file.
        "image": partial(image_reference, Path(__file__).parents[2]),
    },
}
