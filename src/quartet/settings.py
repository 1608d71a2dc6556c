"""Kedro's project settings: hooks, configuration resolvers, process-wide switches."""

import os
import warnings

import fsspec

from quartet import distributed
from quartet.datasets.atomic import AtomicLocalFileSystem
from quartet.hooks import DistributedHooks, ErrorContextHooks, PreflightHooks, TrackingHooks

# OpenMP's threads spin while they wait. Beside any other busy process each parallel region then
# loses a scheduler tick, 8 ms against microseconds of work; asleep they cost next to nothing.
# Read when PyTorch is first imported, which is after this.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# MLflow has its own handler, and tells of every table it makes in a new database.
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")

# Kedro calls OmegaConf by a name that the latest OmegaConf is about to drop.
warnings.filterwarnings("ignore", message=r"register_new_resolver\(\) is deprecated")

# Every dataset that writes through fsspec gets write-beside-and-rename.
fsspec.register_implementation("file", AtomicLocalFileSystem, clobber=True)

HOOKS = (PreflightHooks(), TrackingHooks(), DistributedHooks(), ErrorContextHooks())

# One MLflow run a command, however many ranks run it.
DISABLE_HOOKS_FOR_PLUGINS = ("kedro-mlflow", "kedro_mlflow") if distributed.rank() > 0 else ()

CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    "merge_strategy": {"parameters": "soft"},  # an override names only what it changes
    "config_patterns": {"mlflow": ["mlflow*"], "downloads": ["downloads*"]},
    # ${env:NAME,default} in any file; Kedro allows ${oc.env:NAME} in credentials only.
    "custom_resolvers": {"env": lambda name, default=None: os.environ.get(name, default)},
}
