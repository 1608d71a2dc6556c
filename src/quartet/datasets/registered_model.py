"""Models in the MLflow registry."""

from __future__ import annotations

import hashlib
import importlib
import logging
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.io.core import AbstractDataset, DatasetError

from kedro_cloud.core.run_command import run_command
from quartet.datasets.lineage import get_lineage_tags

if TYPE_CHECKING:
    import pandas as pd

    from quartet.datasets.model_card import ModelCard

logger = logging.getLogger(__name__)

CARD = "MODEL_CARD.md"
"""File with the model card, in the folder of the model."""
CHECKSUMS = "SHA256SUMS"
"""File with the checksums of a model's other files, as `sha256sum` writes and checks them."""
_REFUSED = "not_registered.{}"
"""Tag of a run whose release was refused, by model; its value is the reason."""


@dataclass(frozen=True)
class ModelRelease:
    """A candidate for registration, and the decision whether to register it.

    Attributes:
        approved: Whether to register a new version.
        reason: Reason for the decision, saved as the version's description.
        loader_module: Module whose `_load_pyfunc(folder)` returns an object with
            `predict(batch)`; its package is saved with the model.
        files: Contents of the files in that folder, by name.
        requirements: Distributions the loader requires, pinned to the installed versions.
        input_example: A small batch, from which the signature is inferred.
        tags: Tags of the version: metrics, parameters, checksums.
        card: Model card: description of the registered model, and a file of the version.
    """

    approved: bool
    reason: str
    loader_module: str
    files: Mapping[str, bytes]
    requirements: Sequence[str]
    input_example: Any
    tags: Mapping[str, str] = field(default_factory=dict)
    card: ModelCard | None = None


@dataclass(frozen=True)
class Champion:
    """The latest registered version, loaded for prediction."""

    version: int
    tags: Mapping[str, str]
    model: Any

    def predict(self, batch: Any) -> pd.DataFrame:
        """Return the predictions for a batch of inputs."""
        predictions: pd.DataFrame = self.model.predict(batch)
        return predictions

    @property
    def raw_model(self) -> Any:
        """The object that the loader module returned.

        Raises:
            DatasetError: The version was registered by other code.
        """
        try:
            return self.model.get_raw_model()
        except NotImplementedError as error:
            raise DatasetError(
                f"registered version {self.version}: is not a model of this project; run the "
                "pipeline that trains the model, which registers a new version"
            ) from error


class RegisteredModelDataset(AbstractDataset[ModelRelease, "Champion | None"]):
    """Loads the latest registered version of a model; saves a release as a new version.

    The model is logged as artifacts of the active MLflow run and then registered, as
    Azure ML's tracking service does not support `log_model` of MLflow 3. A loader module
    restores it from data files, without pickle. Their checksums are saved beside them and checked
    on loading, as a damaged number would change predictions in silence. For its tags see
    `quartet.datasets.lineage`.

    A new version gets the alias `champion`, unless a version other than the last one has it, as
    after a rollback: then it becomes `candidate`.

    The tag `trained_on` is the name of the data set or, without a name, the location of the data. A
    version that was trained on other data is not loaded; one without the tag is.

    ```yaml
    mnist_classifier:
      type: quartet.datasets.registered_model.RegisteredModelDataset
      model_name: mnist_classifier${globals:model_suffix}
      dataset_name: ${globals:dataset_name}
      trained_on: ${runtime_params:mnist_data,${globals:raw}/mnist}
      registered_by: mnist_training
    ```
    """

    def __init__(
        self,
        *,
        model_name: str,
        dataset_name: str = "",
        trained_on: str | None = None,
        registered_by: str | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Configure the dataset.

        Args:
            model_name: Name in the registry.
            dataset_name: Name of the data set; empty for the samples.
            trained_on: Location of the data, which identifies data without a name; None if nodes
                compare the data with the model.
            registered_by: The pipeline that registers the model, if loading requires a version.
            metadata: Ignored here; read by plugins.
        """
        self.model_name = model_name
        self._trained_on = dataset_name or (trained_on or "").rstrip("/")
        self._registered_by = registered_by
        self.metadata = metadata
        self.saved_version: int | None = None  # reported in the run's summary

    def load(self) -> Champion | None:
        """Return the latest version, or None if none is registered.

        Raises:
            DatasetError: The files of the version cannot be loaded; it was trained on other data;
                or no version is registered and `registered_by` is set.
        """
        import mlflow

        entry = self._find_version()
        if entry is None:
            return None
        try:
            with _preserve_import_path():
                path = mlflow.artifacts.download_artifacts(
                    f"models:/{self.model_name}/{entry.version}"
                )
                _check_files(Path(path))
                model = mlflow.pyfunc.load_model(path)
        except Exception as error:
            raise DatasetError(
                f"{self.model_name}: registered version {entry.version} cannot be loaded "
                f"({error}); restore its files or delete this version"
            ) from error
        return Champion(int(entry.version), dict(entry.tags), model)

    def check_at_start(self) -> None:
        """Check that a version is registered if loading requires one, and that its data is this.

        Raises:
            DatasetError: As for `load`.
        """
        self._find_version()

    def save(self, data: ModelRelease) -> None:
        """Register the release as a new version, if it is approved."""
        import mlflow

        if not data.approved:
            logger.info("%s: %s", self.model_name, data.reason)
            if mlflow.active_run():
                mlflow.set_tag(_REFUSED.format(self.model_name), data.reason)
            return
        run = mlflow.active_run() or mlflow.start_run()
        tags = get_lineage_tags(run.info.run_id)
        if self._trained_on:
            tags["trained_on"] = self._trained_on
        last = self._latest_version()
        number = int(last.version) + 1 if last else 1
        title = f"{self.model_name}, version {number}"
        card = data.card.to_markdown(title, tags) if data.card else ""
        with tempfile.TemporaryDirectory() as folder, _preserve_import_path():
            model_folder = _write_model(data, Path(folder))
            if card:
                (model_folder / CARD).write_text(card, encoding="utf-8")
            mlflow.log_artifacts(str(model_folder), artifact_path=self.model_name)
        client = mlflow.MlflowClient()
        if last is None:
            _create_registered_model(client, self.model_name)
        created = client.create_model_version(
            self.model_name,
            source=f"{run.info.artifact_uri}/{self.model_name}",
            run_id=run.info.run_id,
            tags={**tags, **data.tags},
            description=data.reason,
        )
        self.saved_version = int(created.version)
        logger.info("%s: registered version %s: %s", self.model_name, created.version, data.reason)
        if card:
            with suppress(mlflow.MlflowException):  # Azure ML has no descriptions of models
                client.update_registered_model(self.model_name, card)
        _set_alias(client, created, last)

    def _find_version(self) -> Any | None:
        """Return the latest version, or None if there is none and loading does not require one."""
        entry = self._latest_version()
        if entry is None and self._registered_by:
            command = f"`{run_command(self._registered_by)}`"
            refusal = self._find_refusal()
            advice = (
                f"{command} refused the last one: {refusal}" if refusal else f"run {command} first"
            )
            raise DatasetError(f"{self.model_name}: no version is registered; {advice}")
        if entry is None:
            return None
        other = entry.tags.get("trained_on")
        if other and self._trained_on and other != self._trained_on:
            raise DatasetError(
                f"{self.model_name}: registered version {entry.version} was trained on {other}, "
                f"expected {self._trained_on}; name each data set in all of its runs, with "
                "--params dataset_name=NAME, or delete this version"
            )
        return entry

    def _find_refusal(self) -> str | None:
        """Return the reason why the last release was not registered; None if there was none."""
        import mlflow

        tag = _REFUSED.format(self.model_name)
        try:
            runs = mlflow.search_runs(
                filter_string=f"tags.`{tag}` != ''",
                order_by=["attributes.start_time DESC"],
                max_results=1,
                output_format="list",
                search_all_experiments=True,
            )
        except mlflow.MlflowException:  # a server without this search
            return None
        return str(runs[0].data.tags[tag]) if runs else None

    def _latest_version(self) -> Any | None:
        import mlflow

        versions = mlflow.MlflowClient().search_model_versions(f"name='{self.model_name}'")
        return max(versions, key=lambda entry: int(entry.version), default=None)

    def _exists(self) -> bool:
        return self._latest_version() is not None

    def _describe(self) -> dict[str, Any]:
        return {"model_name": self.model_name}


@contextmanager
def _preserve_import_path() -> Iterator[None]:
    """Remove what MLflow adds to the import path.

    MLflow adds the code saved with a model, which is only a part of this project. Child
    processes would import it instead of the project.
    """
    paths = list(sys.path)
    try:
        yield
    finally:
        sys.path[:] = paths


def _write_model(release: ModelRelease, folder: Path) -> Path:
    """Save the release as an MLflow model and return its folder."""
    import mlflow

    data_folder = folder / "data"
    data_folder.mkdir()
    for name, content in release.files.items():
        (data_folder / name).write_bytes(content)
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in release.files.items()}
    lines = (f"{digest}  {name}\n" for name, digest in sums.items())
    (data_folder / CHECKSUMS).write_text("".join(lines), encoding="utf-8")
    loader = importlib.import_module(release.loader_module)
    predictions = loader._load_pyfunc(str(data_folder)).predict(release.input_example)
    model_folder = folder / "model"
    with warnings.catch_warnings():
        # Labels in a prediction are integers without missing values.
        warnings.filterwarnings("ignore", message=r".*Inferred schema contains integer column")
        signature = mlflow.models.infer_signature(release.input_example, predictions)
    mlflow.pyfunc.save_model(
        str(model_folder),
        loader_module=release.loader_module,
        data_path=str(data_folder),
        code_paths=[str(_copy_package(release.loader_module, folder / "code"))],
        pip_requirements=[_pin(name) for name in release.requirements],
        signature=signature,
        input_example=release.input_example,
    )
    return model_folder


def _check_files(model_folder: Path) -> None:
    """Check the data files of a model against their checksums; earlier versions have none.

    Raises:
        ValueError: A file is missing, or has changed since it was saved.
    """
    for sums in model_folder.rglob(CHECKSUMS):
        for line in sums.read_text(encoding="utf-8", errors="backslashreplace").splitlines():
            digest, _, name = line.partition("  ")
            path = sums.parent / name
            if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != digest:
                raise ValueError(f"{name} is damaged: its SHA-256 is not that in {CHECKSUMS}")


def _copy_package(loader_module: str, folder: Path) -> Path:
    """Copy the loader's package, and the `__init__.py` of its parents, to `folder`."""
    top, *inner = loader_module.split(".")[:-1]
    source = Path(importlib.import_module(top).__file__ or "").parent
    target = folder / top
    for part in inner:
        target.mkdir(parents=True)
        shutil.copy(source / "__init__.py", target)
        source, target = source / part, target / part
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    return folder / top


def _pin(distribution: str) -> str:
    """Return `name==version` as installed, without local labels such as `+cpu`."""
    return f"{distribution}=={installed_version(distribution).partition('+')[0]}"


def _set_alias(client: Any, created: Any, last: Any | None) -> None:
    """Make a new version `champion`, or `candidate` if an earlier one was made champion again."""
    import mlflow

    with suppress(mlflow.MlflowException):  # Azure ML has no aliases
        champion = client.get_registered_model(created.name).aliases.get("champion")
        replaces_last = champion is None or (last and str(champion) == str(last.version))
        alias = "champion" if replaces_last else "candidate"
        client.set_registered_model_alias(created.name, alias, created.version)


def _create_registered_model(client: Any, name: str) -> None:
    import mlflow

    try:
        client.create_registered_model(name)
    except mlflow.MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
