"""Provide Kedro's configuration loader, and names that depend on the data set and the pipelines.

Errors of the loader name the file, which Kedro's own often do not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from kedro.config import MissingConfigException, OmegaConfigLoader
from omegaconf import OmegaConf

from kedro_cloud.core.config import folders
from kedro_cloud.core.config_files import find_fault
from quartet.compat import requested_pipelines

PARAMETER = "dataset_name"
"""Runtime parameter with the name of the data set, and the resolver that inserts it."""
SAMPLE = "sample"
"""Name of the committed samples, whose files are in the roots themselves."""

# Part of paths, of databases and of registered models; folders of `data` begin with a digit.
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}", re.ASCII)


class ConfigLoader(OmegaConfigLoader):
    """Resolve `${dataset_name:SEPARATOR}` in `globals.yml` to the separator and the name.

    The name is the runtime parameter `dataset_name`; for the committed samples the result is empty.
    Kedro's own `${runtime_params:…}` is not available in `globals.yml`.
    """

    def __getitem__(self, key: str) -> dict[str, Any]:
        """Return the configuration of a key.

        Raises:
            ValueError: The parameter `dataset_name` is not a valid name, or a file is invalid.
        """
        if key == "globals":
            name = get_dataset_name(self.runtime_params)
            # The process has one registry of resolvers, so each loader registers its own name.
            OmegaConf.register_resolver(
                PARAMETER,
                lambda separator="": "" if name == SAMPLE else f"{separator}{name}",
                replace=True,
            )
        try:
            found: dict[str, Any] = super().__getitem__(key)
        except MissingConfigException:
            raise
        except Exception as error:
            read = [*self.config_patterns.get(key, []), *self.config_patterns["globals"]]
            fault = find_fault(folders(self), error, read)
            if fault is None:
                raise
            raise ValueError(fault) from error
        return found


def get_dataset_name(runtime_params: dict[str, Any] | None) -> str:
    """Return the name of the data set of a run.

    Raises:
        ValueError: It is not a valid name.
    """
    name = (runtime_params or {}).get(PARAMETER, SAMPLE)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(
            f"parameter '{PARAMETER}': should be a letter, then letters, digits, _ or -, at most "
            f"40 characters (given: {name!r}); choose another name"
        )
    return name


def name_experiment(scenarios: Mapping[str, str], project: str) -> str:
    """Return the MLflow experiment of a run: `PROJECT-SCENARIO`, or `PROJECT` alone.

    Args:
        scenarios: Scenario by pipeline.
        project: Name of the experiment of runs of several scenarios or of none.
    """
    found = {scenarios.get(pipeline) for pipeline in requested_pipelines()}
    (scenario,) = found if len(found) == 1 else (None,)
    return f"{project}-{scenario}" if scenario else project
