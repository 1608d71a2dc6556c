"""Read `cloud.yml` of an environment: clusters, data assets, endpoints, triggers, deployments."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from kedro.config.abstract_config import MissingConfigException
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from kedro_cloud.core import config
from kedro_cloud.core.validation_errors import format_errors

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,254}$")]
"""Name of an Azure ML asset."""
ClusterName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9-]{1,22}[A-Za-z0-9]$")]
EndpointName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{1,30}[a-z0-9]$")]
"""Name of an endpoint: unique in its Azure region, as it is part of the URL."""
DatastoreName = Annotated[str, Field(pattern=r"^[a-z0-9_]{1,255}$")]
ContainerName = Annotated[str, Field(pattern=r"^[a-z0-9](-?[a-z0-9]){2,62}$")]
InputName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Glob = Annotated[str, Field(pattern=r"^[^/]")]
"""Pattern of files in a folder."""
InputType = Literal["string", "number", "integer", "boolean"]
Settings = TypeVar("Settings", bound=BaseModel)


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Cluster(_Part):
    """A compute cluster that scales with its jobs."""

    size: str
    """VM size of a node: Standard_D4s_v5."""
    min_nodes: int = Field(default=0, ge=0)
    """Nodes that keep running, and are billed, while the cluster is idle."""
    max_nodes: int = Field(ge=1)
    """Maximum number of nodes; your quota of cores must allow them."""
    idle_seconds: int = Field(default=300, ge=60)
    """Idle time before a node is removed; if too short, each step of a job waits for a new one."""
    tier: Literal["dedicated", "low_priority"] = "dedicated"
    """Azure retired `low_priority` on 2026-03-31. Its nodes are Spot nodes now: at a price that
    varies, and evicted when Azure needs them."""

    @model_validator(mode="after")
    def _check_node_range(self) -> Self:
        if self.min_nodes > self.max_nodes:
            raise ValueError(
                f"min_nodes {self.min_nodes} is greater than max_nodes {self.max_nodes}"
            )
        return self


class DataAsset(_Part):
    """A folder of raw data, registered so that a model's lineage can refer to it."""

    datastore: DatastoreName
    """Datastore, from `datastores`."""
    path: str = Field(pattern=r"^[^/].*[^/]$|^[^/]$")
    """Path in the datastore's container."""


class Input(_Part):
    """An input of an endpoint."""

    parameter: str = Field(min_length=1)
    """Parameter of the pipeline that receives the value; dotted if nested."""
    type: InputType = "string"
    """Type that Azure ML accepts; it rejects a call with any other."""
    description: str = ""
    """Description that the endpoint shows to callers."""
    pattern: str | None = None
    """Regular expression that the complete text must match; a step rejects any other text."""
    default: bool | int | float | str | None = None
    """Default value; without it the input is required."""

    @model_validator(mode="after")
    def _check_pattern(self) -> Self:
        if self.pattern is not None:
            if self.type != "string":
                raise ValueError(f"a pattern needs type string, not {self.type}")
            try:
                re.compile(self.pattern)
            except re.error as error:
                raise ValueError(
                    f"pattern {self.pattern} is not a regular expression: {error}"
                ) from error
        return self


class Endpoint(_Part):
    """A batch endpoint that starts a pipeline for callers with the required role."""

    pipeline: str
    """Pipeline to start."""
    inputs: dict[InputName, Input] = {}
    """Inputs that callers can set; they cannot change any other parameter."""
    passed_by: Literal["environment", "command"] = "environment"
    """Way in which steps receive input values: variables that Azure ML sets, or their command."""


class RunFolder(_Part):
    """A separate folder for each run on this machine."""

    parameter: str = Field(min_length=1)
    """Parameter of the pipeline that receives the folder."""
    dataset: str
    """Dataset of the local catalog; the folder is created beside its files."""


class LocalRuns(_Part):
    """Folders of runs that a trigger starts on this machine."""

    work: RunFolder
    """Intermediate files and the log, in `watched` beside the dataset, until the file is done."""
    results: RunFolder | None = None
    """Results, in the subfolders of the watched location. `--results` replaces it."""
    reports: RunFolder | None = None
    """Reports: a folder with the name of the file."""
    summary: str | None = None
    """Dataset in the `work` folder: a JSON file whose `places` lists the paths of the results."""


class Trigger(_Part):
    """Start an endpoint's pipeline once for each new file in a container."""

    container: ContainerName
    """Container to watch, in the data account."""
    endpoint: EndpointName
    """Endpoint to start, from `endpoints`."""
    file_input: InputName
    """Input of the endpoint that receives the address of the file."""
    suffixes: tuple[str, ...]
    """Suffixes of the files to process: lower case, with the dot."""
    max_concurrent_runs: int = Field(default=4, ge=1)
    """Maximum number of concurrent runs; the other files wait."""
    attempts: int = Field(default=3, ge=1)
    """Attempts before a file is marked as poison and skipped."""
    markers: ContainerName = "triggers"
    """Container of the markers that record which files were started."""
    inputs: dict[InputName, str] = {}
    """Other inputs of the endpoint, the same for every file."""
    outputs: tuple[str, ...] = ()
    """Datasets that runs write; files below them never start a run."""
    local: LocalRuns | None = None
    """Folders for `kedro cloud watch` when it starts runs on this machine."""


class Deployment(_Part):
    """A registered model behind an online endpoint."""

    endpoint: EndpointName
    """Name of the online endpoint: part of its URL, and unique in the region."""
    size: str
    """VM size of an instance."""
    instances: int = Field(default=1, ge=1)
    """Number of instances, which run and are billed all the time."""


class Rehearsal(_Part):
    """Settings of rehearsals of jobs on this machine."""

    samples: dict[str, Glob] = {}
    """Files to upload first: a glob by root of `globals.yml`, or by folder below a root."""
    variables: dict[str, str | None] = {}
    """Environment variables to pass to steps, with their defaults. In a default `{folder}` is the
    folder of the rehearsals; null means no default."""
    reports: str = ""
    """Root of `globals.yml` whose files are downloaded at the end."""

    def check_roots(self, local: Collection[str], remote: Collection[str]) -> None:
        """Check that the roots of samples and reports are in `globals.yml`.

        Args:
            local: Roots of the base environment.
            remote: Roots of the job's environment.

        Raises:
            ValueError: `globals.yml` has no such root.
        """
        roots = [(f"samples.{each}", each.partition("/")[0], local) for each in self.samples]
        if self.reports:
            roots.append(("reports", self.reports, remote))
        for key, root, known in roots:
            if root not in known:
                raise ValueError(
                    f"cloud.yml: rehearsal.{key}: '{root}' is not a root in globals.yml; expected "
                    f"one of {', '.join(sorted(known)) or 'none'}"
                )


class Cloud(_Part):
    """Contents of `cloud.yml`."""

    region: str = Field(pattern=r"^[a-z0-9]+$")
    """Azure region of the workspace and its resources, by its short name."""
    identity: str = Field(default="", pattern=r"^$|^[A-Za-z0-9][A-Za-z0-9_-]{2,127}$")
    """User-assigned identity of the clusters, in the workspace's resource group; each has its own
    where none is named."""
    clusters: dict[ClusterName, Cluster]
    """Compute clusters. `azureml.yml` selects them by the tags of nodes."""
    datastores: dict[DatastoreName, ContainerName]
    """Container of the data account by datastore."""
    data_assets: dict[Name, DataAsset] = {}
    """Raw data for the lineage of models."""
    endpoints: dict[EndpointName, Endpoint] = {}
    """Batch endpoints of published pipelines, for `kedro cloud publish`."""
    trigger: Trigger | None = None
    """File trigger, for `kedro cloud watch` and the Logic App of `infra/`."""
    deployments: dict[Name, Deployment] = {}
    """Deployments by registered model, for `kedro cloud deploy`."""
    primary_metrics: dict[str, str] = {}
    """Primary metric in metrics.json, by pipeline."""
    rehearsal: Rehearsal = Rehearsal()
    """Settings of `kedro cloud rehearse`."""
    telemetry: Literal["workspace", "none"] = "none"
    """Whether steps send telemetry to the workspace's Application Insights."""

    @model_validator(mode="after")
    def _check_references(self) -> Self:
        for name, asset in self.data_assets.items():
            if asset.datastore not in self.datastores:
                raise ValueError(
                    f"data_assets.{name}: datastore '{asset.datastore}' is missing from "
                    "`datastores`; add it there"
                )
        if self.trigger is not None:
            self._check_trigger(self.trigger)
        return self

    def _check_trigger(self, trigger: Trigger) -> None:
        if trigger.endpoint not in self.endpoints:
            raise ValueError(
                f"trigger.endpoint: endpoint '{trigger.endpoint}' is missing from `endpoints`; add "
                "it there"
            )
        inputs = self.endpoints[trigger.endpoint].inputs
        for name in trigger.inputs:
            if name not in inputs:
                raise ValueError(
                    f"trigger.inputs.{name}: endpoint '{trigger.endpoint}' has no such input; "
                    f"expected one of {', '.join(inputs) or 'none'}"
                )
        if trigger.file_input not in inputs or trigger.file_input in trigger.inputs:
            raise ValueError(
                f"trigger.file_input: '{trigger.file_input}' must be an input of endpoint "
                f"'{trigger.endpoint}' that trigger.inputs does not set"
            )


def cloud_settings(project: Path, environment: str) -> Cloud:
    """Return the settings in an environment's `cloud.yml`.

    Args:
        project: Root folder of the Kedro project.
        environment: Folder of `conf`.

    Raises:
        ValueError: The environment has no cloud.yml, or a setting is missing, unknown or invalid.
    """
    content = read_files(project, environment, "cloud")
    if "cloud" not in content:
        raise ValueError(
            f"environment '{environment}' has no cloud.yml; use -e azureml, or create "
            f"conf/{environment}/cloud.yml with the settings below `cloud:`"
        )
    return _validate_cloud(content, environment)


def _validate_cloud(content: Mapping[str, Any], environment: str) -> Cloud:
    return validate_section(Cloud, content, "cloud", f"conf/{environment}/cloud.yml")


def rehearsal_settings(project: Path, environment: str) -> Rehearsal:
    """Return the settings of rehearsals; the defaults where an environment has no cloud.yml."""
    content = read_files(project, environment, "cloud")
    return _validate_cloud(content, environment).rehearsal if "cloud" in content else Rehearsal()


def read_files(project: Path, environment: str, pattern: str) -> dict[str, Any]:
    """Return the contents of an environment's files; empty if it has none.

    Args:
        project: Root folder of the Kedro project.
        environment: Folder of `conf`.
        pattern: Key of the configuration loader's patterns.
    """
    try:
        return dict(config.loader(project, environment)[pattern])
    except (MissingConfigException, KeyError):
        return {}


def validate_section(
    model: type[Settings], content: Mapping[str, Any], key: str, where: str
) -> Settings:
    """Return the settings below a key of a file as a model.

    Raises:
        ValueError: They are not a mapping, or a setting is missing, unknown or invalid.
    """
    if not isinstance(content[key], Mapping):
        raise ValueError(f"{where}: {key} should be a mapping (given: {content[key]!r})")
    return validate_settings(model, content[key], where)


def validate_settings(model: type[Settings], content: Mapping[str, Any], where: str) -> Settings:
    """Return the settings of a file as a model.

    Raises:
        ValueError: A setting is missing, unknown or invalid; each is named.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise ValueError(f"{where}: {format_errors(error)}") from error
