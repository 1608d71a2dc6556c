"""Kedro's project settings: hooks, configuration resolvers, local file system."""

import os

import fsspec

from quartet.datasets.atomic import AtomicLocalFileSystem
from quartet.hooks import ErrorContextHooks, PreflightHooks, TrackingHooks

# Every dataset that writes through fsspec gets write-beside-and-rename.
fsspec.register_implementation("file", AtomicLocalFileSystem, clobber=True)

HOOKS = (PreflightHooks(), TrackingHooks(), ErrorContextHooks())

CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    # ${env:NAME,default} in any file; Kedro allows ${oc.env:NAME} in credentials only.
    "custom_resolvers": {"env": lambda name, default=None: os.environ.get(name, default)},
}
