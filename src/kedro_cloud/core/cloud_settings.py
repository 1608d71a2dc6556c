"""What an environment's `cloud.yml` says stands around the jobs: clusters, endpoints, models."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from kedro.config.abstract_config import MissingConfigException
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from kedro_cloud.core import config
from kedro_cloud.core.validation_errors import format_errors

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,254}$")]
"""Of an asset."""
ClusterName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9-]{1,22}[A-Za-z0-9]$")]
EndpointName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{1,30}[a-z0-9]$")]
"""Unique in its region, as it is part of an address."""
DatastoreName = Annotated[str, Field(pattern=r"^[a-z0-9_]{1,255}$")]
ContainerName = Annotated[str, Field(pattern=r"^[a-z0-9](-?[a-z0-9]){2,62}$")]
InputName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
InputType = Literal["string", "number", "integer", "boolean"]
Settings = TypeVar("Settings", bound=BaseModel)


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Cluster(_Part):
    """Machines that come when jobs want them, and go when they were idle."""

    size: str
    """Of each machine, by Azure's name: Standard_D4s_v5."""
    min_nodes: int = Field(default=0, ge=0)
    """That stand, and cost, while nothing runs."""
    max_nodes: int = Field(ge=1)
    """That come at most; your quota of cores must allow them."""
    idle_seconds: int = Field(default=300, ge=60)
    """After which a machine goes; too few, and each step of a job waits for a new one."""
    tier: Literal["dedicated", "low_priority"] = "dedicated"
    """Low priority costs a fifth, and may be taken away at any moment."""

    @model_validator(mode="after")
    def _check_node_range(self) -> Self:
        if self.min_nodes > self.max_nodes:
            raise ValueError(f"min_nodes {self.min_nodes} is more than max_nodes {self.max_nodes}")
        return self


class DataAsset(_Part):
    """A folder of raw data that a model's lineage can name."""

    datastore: DatastoreName
    """One of `datastores`."""
    path: str = Field(pattern=r"^[^/].*[^/]$|^[^/]$")
    """Below the datastore's container."""


class Input(_Part):
    """What whoever starts an endpoint's pipeline may say."""

    parameter: str = Field(min_length=1)
    """Of the pipeline, dotted where it is part of another."""
    type: InputType = "string"
    """What Azure ML takes for it; anything else is refused when the endpoint is started."""
    description: str = ""
    """What the endpoint tells its callers of it."""
    pattern: str | None = None
    """A regular expression that all of a text must match; the step refuses what does not."""
    default: bool | int | float | str | None = None
    """For those who say nothing; without it they must."""

    @model_validator(mode="after")
    def _check_pattern(self) -> Self:
        if self.pattern is not None:
            if self.type != "string":
                raise ValueError(f"only a string has a pattern, not type {self.type}")
            try:
                re.compile(self.pattern)
            except re.error as error:
                raise ValueError(f"pattern {self.pattern} cannot be read: {error}") from error
        return self


class Endpoint(_Part):
    """A pipeline that anything with the right role can start."""

    pipeline: str
    """Which is started."""
    inputs: dict[InputName, Input] = {}
    """What its callers may say; nothing else of the pipeline can be changed by them."""


class RunFolder(_Part):
    """A folder that each run on this machine gets for itself."""

    parameter: str = Field(min_length=1)
    """Of the pipeline, which receives the folder."""
    dataset: str
    """Of the catalog of runs on this machine; the folder is made where this dataset lies."""


class LocalRuns(_Part):
    """What keeps runs of a trigger on this machine apart."""

    work: RunFolder
    """Intermediate files and the log, in `watched` beside the dataset, until the file is done."""
    results: RunFolder | None = None
    """Results: the folders of the watched location are repeated in it. `--results` replaces it."""
    reports: RunFolder | None = None
    """Reports: a folder with the name of the file."""
    summary: str | None = None
    """Dataset in the folder of `work`: a JSON file whose `places` lists where the results are."""


class Trigger(_Part):
    """A new file in a container starts an endpoint's pipeline, once."""

    container: ContainerName
    """Of the data account, which is watched."""
    endpoint: EndpointName
    """One of `endpoints`."""
    file_input: InputName
    """Input of the endpoint that receives the address of the file."""
    suffixes: tuple[str, ...]
    """Of the files that count, small letters, each with its dot."""
    most_at_once: int = Field(default=4, ge=1)
    """Runs at the same time; the other files wait."""
    attempts: int = Field(default=3, ge=1)
    """How often a file is tried before it is left alone as poison."""
    markers: ContainerName = "triggers"
    """Of the markers that say which file was started."""
    inputs: dict[InputName, str] = {}
    """Further ones of the endpoint, the same for every file."""
    outputs: tuple[str, ...] = ()
    """Datasets that runs write: files below them are never taken for new ones."""
    local: LocalRuns | None = None
    """For `kedro cloud watch` where it starts runs on this machine."""


class Deployment(_Part):
    """A registered model that answers requests."""

    endpoint: EndpointName
    """Name of the online endpoint: part of its address, and unique in the region."""
    size: str
    """Of each machine, by Azure's name."""
    instances: int = Field(default=1, ge=1)
    """Machines that stand, and cost, all the time."""


class Rehearsal(_Part):
    """What rehearsals of jobs on this machine need beyond the jobs themselves."""

    samples: dict[str, str] = {}
    """Files that are uploaded first: a glob by root of `globals.yml`, or by folder below a root."""
    variables: dict[str, str | None] = {}
    """Environment variables of the steps, where they are set here; else their defaults, of which
    `{folder}` becomes the folder of the rehearsals, and null leaves the variable out."""
    reports: str = ""
    """Root of `globals.yml` whose files are fetched at the end."""


class Cloud(_Part):
    """All of `cloud.yml`."""

    region: str = Field(pattern=r"^[a-z0-9]+$")
    """Where the workspace and all around it stand, by Azure's short name."""
    identity: str = Field(default="", pattern=r"^$|^[A-Za-z0-9][A-Za-z0-9_-]{2,127}$")
    """User-assigned identity of the clusters, in the workspace's resource group; each has its own
    where none is named."""
    clusters: dict[ClusterName, Cluster]
    """Machines for jobs. `azureml.yml` names them by the tags of nodes."""
    datastores: dict[DatastoreName, ContainerName]
    """Container of the data account by datastore."""
    data_assets: dict[Name, DataAsset] = {}
    """Raw data that a model's lineage can name."""
    endpoints: dict[EndpointName, Endpoint] = {}
    """Batch endpoints, by which others start pipelines: `kedro cloud publish`."""
    trigger: Trigger | None = None
    """What a new file starts: `kedro cloud watch`, and the Logic App of `infra/`."""
    deployments: dict[Name, Deployment] = {}
    """By registered model: `kedro cloud deploy`."""
    primary_metrics: dict[str, str] = {}
    """By pipeline: the metric of its metrics.json that says most."""
    rehearsal: Rehearsal = Rehearsal()
    """For `kedro cloud rehearse`."""
    telemetry: Literal["workspace", "none"] = "none"
    """Whether steps tell the workspace's Application Insights of themselves."""

    @model_validator(mode="after")
    def _check_references(self) -> Self:
        for name, asset in self.data_assets.items():
            if asset.datastore not in self.datastores:
                raise ValueError(
                    f"data_assets.{name}: there is no datastore '{asset.datastore}' in the file"
                )
        if self.trigger is not None:
            self._check_trigger(self.trigger)
        return self

    def _check_trigger(self, trigger: Trigger) -> None:
        if trigger.endpoint not in self.endpoints:
            raise ValueError(
                f"trigger.endpoint: there is no endpoint '{trigger.endpoint}' in the file"
            )
        inputs = self.endpoints[trigger.endpoint].inputs
        for name in trigger.inputs:
            if name not in inputs:
                raise ValueError(
                    f"trigger.inputs.{name}: endpoint '{trigger.endpoint}' has no such input (it "
                    f"has {', '.join(inputs) or 'none'})"
                )
        if trigger.file_input not in inputs or trigger.file_input in trigger.inputs:
            raise ValueError(
                f"trigger.file_input: '{trigger.file_input}' must be an input of endpoint "
                f"'{trigger.endpoint}' that trigger.inputs does not set"
            )


def cloud_settings(project: Path, environment: str) -> Cloud:
    """What stands around the jobs of an environment.

    Args:
        project: Kedro's.
        environment: Folder of `conf`.

    Raises:
        ValueError: The environment has no cloud.yml, or a setting in it is missing, unknown or
            not what Azure takes; each is named.
    """
    content = read_files(project, environment, "cloud")
    if "cloud" not in content:
        raise ValueError(
            f"environment '{environment}' has no cloud.yml; use -e azureml, or write "
            f"conf/{environment}/cloud.yml with the settings below `cloud:`"
        )
    return validate_settings(Cloud, content["cloud"], f"conf/{environment}/cloud.yml")


def rehearsal_settings(project: Path, environment: str) -> Rehearsal:
    """Return the settings of rehearsals; the defaults where an environment has no cloud.yml."""
    if "cloud" not in read_files(project, environment, "cloud"):
        return Rehearsal()
    return cloud_settings(project, environment).rehearsal


def read_files(project: Path, environment: str, pattern: str) -> dict[str, Any]:
    """Return the contents of an environment's files; empty if it has none.

    Args:
        project: Kedro's.
        environment: Folder of `conf`.
        pattern: Name of a pattern of the configuration loader.
    """
    try:
        return dict(config.loader(project, environment)[pattern])
    except (MissingConfigException, KeyError):
        return {}


def validate_settings(model: type[Settings], content: Mapping[str, Any], where: str) -> Settings:
    """Return the settings of a file as a model.

    Raises:
        ValueError: A setting is missing, unknown or invalid; each is named.
    """
    try:
        return model(**content)
    except ValidationError as error:
        raise ValueError(f"{where}: {format_errors(error)}") from error
