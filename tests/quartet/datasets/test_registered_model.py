"""Only versions that load are registered, and earlier ones remain."""

import shutil
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import mlflow
import numpy as np
import pytest
from kedro.io import DatasetError

from quartet.datasets.lineage import compute_code_digest
from quartet.datasets.model_card import ModelCard, Result
from quartet.datasets.registered_model import ModelRelease, RegisteredModelDataset
from quartet.digits import classifier, logistic, serving
from quartet.digits.sample import load_bundled_digits
from support import ROOT

IMAGES = load_bundled_digits()["images"]
CARD = ModelCard(
    summary="Reads digits.",
    data={"training images": "10", "classes": "a|b"},
    results={"accuracy": Result(0.9, 0.8, 0.95), "loss": Result(0.25)},
    evaluation="On test images.",
    intended_use="Reading.",
    limitations=["Other images get a label, too."],
    licences=["Apache License 2.0."],
)


class Registry(NamedTuple):
    """A tracking database, and an experiment with artefacts beside it."""

    uri: str
    experiment: str


def create_registry(folder, empty_database):
    shutil.copy(empty_database, folder)
    uri = f"sqlite:///{folder}/mlflow.db"
    artifacts = str(folder / "artifacts")
    experiment = mlflow.MlflowClient(uri).create_experiment("test", artifact_location=artifacts)
    return Registry(uri, experiment)


@contextmanager
def opened(registry):
    """Save in the registry; return the dataset of a model in it."""
    mlflow.set_tracking_uri(registry.uri)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_EXPERIMENT_ID", registry.experiment)
        yield RegisteredModelDataset(model_name="digits")
        mlflow.end_run()


@pytest.fixture
def registry(tmp_path, empty_database):
    """Return the dataset of a model without versions."""
    with opened(create_registry(tmp_path, empty_database)) as dataset:
        yield dataset


@pytest.fixture(scope="module")
def saved_registry(tmp_path_factory, empty_database, weights):
    """Save a version."""
    registry = create_registry(tmp_path_factory.mktemp("saved"), empty_database)
    with opened(registry) as dataset:
        dataset.save(release(weights, card=CARD))
    return registry


@pytest.fixture
def saved(saved_registry):
    """Return the dataset of a model with one version, which tests must not change."""
    with opened(saved_registry) as dataset:
        yield dataset


@pytest.fixture
def files(saved):
    """Return the folder with the data files of the saved version."""
    return Path(mlflow.artifacts.download_artifacts("models:/digits/1")) / "data/data"


@pytest.fixture(scope="module")
def weights():
    (fit,) = logistic.fit(load_bundled_digits(), [10.0], 1e-2, 100)
    return fit.weights


def release(weights, **changes):
    facts = {
        "approved": True,
        "reason": "first version",
        "loader_module": "quartet.digits.serving",
        "files": {serving.WEIGHTS_FILE: classifier.to_bytes("logistic", weights)},
        "requirements": serving.REQUIREMENTS,
        "input_example": IMAGES[:2],
        "tags": {"test_accuracy": "0.9"},
    }
    return ModelRelease(**(facts | changes))


def test_empty_registry_loads_none(registry):
    assert registry.load() is None
    assert not registry.exists()


def read_aliases():
    aliases = mlflow.MlflowClient().get_registered_model("digits").aliases
    return {alias: int(version) for alias, version in aliases.items()}


def test_the_newest_approved_version_is_champion_until_one_is_chosen_by_hand(registry, weights):
    client = mlflow.MlflowClient()
    for version in (1, 2):
        with mlflow.start_run():
            registry.save(release(weights, reason=f"release {version}"))
        champion = registry.load()
        assert champion.version == version
        assert read_aliases() == {"champion": version}
    assert client.get_model_version("digits", "2").description == "release 2"
    client.set_registered_model_alias("digits", "champion", "1")
    with mlflow.start_run():
        registry.save(release(weights))
    assert read_aliases() == {"champion": 1, "candidate": 3}


def test_a_registered_version_predicts_as_the_saved_weights(saved, weights, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))  # MLflow adds the code of the model
    expected = logistic.predict_proba(weights, IMAGES[:20]).argmax(axis=1)
    champion = mlflow.pyfunc.load_model("models:/digits@champion")
    for model in (saved.load(), champion):
        np.testing.assert_array_equal(model.predict(IMAGES[:20])["label"], expected)


@pytest.mark.usefixtures("registry")
def test_missing_required_model_raises_with_registry_name():
    plant = RegisteredModelDataset(model_name="plant_models", registered_by="anomaly_training")
    with pytest.raises(DatasetError, match="plant_models: no version is registered") as error:
        plant.load()
    assert "`kedro run --pipelines anomaly_training`" in str(error.value)


def test_version_has_tags_of_its_run_and_code(saved):
    before = list(sys.path)
    tags = saved.load().tags
    assert sys.path == before
    assert tags["test_accuracy"] == "0.9"
    assert tags["run_id"] == mlflow.MlflowClient().get_model_version("digits", "1").run_id
    assert tags["code_sha256"] == compute_code_digest(ROOT / "src/quartet")


def test_release_that_is_not_approved_or_cannot_predict_changes_nothing(saved, weights):
    saved.save(release(weights, approved=False))
    with pytest.raises(DatasetError):
        saved.save(release(weights, files={serving.WEIGHTS_FILE: b"garbage"}))
    assert saved.load().version == 1


def test_version_without_files_raises(registry):
    client = mlflow.MlflowClient()
    client.create_registered_model("digits")
    client.create_model_version("digits", source="file:///nowhere/at/all")
    with pytest.raises(DatasetError, match="digits: registered version 1 cannot be loaded"):
        registry.load()


def test_model_contains_code_requirements_and_signature_but_no_pickle(files):
    folder = files.parents[1]
    model = mlflow.models.Model.load(folder)
    tensor = model.signature.inputs.to_dict()[0]["tensor-spec"]
    assert (tensor["dtype"], tuple(tensor["shape"])) == ("uint8", (-1, 28, 28))
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
    assert "code/quartet/digits/serving.py" in names
    assert "code/quartet/pipelines" not in names
    assert not [name for name in names if name.endswith((".pkl", ".pickle", ".joblib"))]
    requirements = (folder / "requirements.txt").read_text().split()
    assert f"numpy=={np.__version__}" in requirements
    assert not [line for line in requirements if "+" in line]


def damage(path):
    """Change one bit, of a number or a checksum."""
    content = bytearray(path.read_bytes())
    content[0 if path.name == "SHA256SUMS" else -1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", [serving.WEIGHTS_FILE, "SHA256SUMS"])
def test_damaged_file_of_valid_length_is_not_loaded_or_served(saved, files, name):
    damage(files / name)
    with pytest.raises(DatasetError, match=r"version 1 cannot be loaded \(.*is damaged"):
        saved.load()
    with pytest.raises(ValueError, match="is damaged"):
        serving._load_pyfunc(str(files))
    damage(files / name)
    assert saved.load().version == 1


def test_version_without_checksums_is_loaded(saved, files):
    sums = files / "SHA256SUMS"
    content = sums.read_bytes()
    sums.unlink()
    assert saved.load().version == 1
    sums.write_bytes(content)


def dataset_of(trained_on, name="", **arguments):
    return RegisteredModelDataset(
        model_name="digits", dataset_name=name, trained_on=trained_on, **arguments
    )


@pytest.mark.usefixtures("registry")
def test_model_of_other_data_is_not_loaded_and_both_are_named(weights):
    dataset_of("data/01_raw/mnist").save(release(weights))
    required = {"registered_by": "mnist_training"}
    for other in (dataset_of("mine"), dataset_of("mine", **required), dataset_of("x", "mine")):
        for use in (other.load, other.check_at_start):
            with pytest.raises(DatasetError) as raised:
                use()
            assert str(raised.value).startswith(
                "digits: registered version 1 was trained on data/01_raw/mnist, expected mine; "
            )
            assert "--params dataset_name=NAME" in str(raised.value)
    for same in (dataset_of("data/01_raw/mnist/"), dataset_of(None)):
        same.check_at_start()
        assert same.load().version == 1


@pytest.mark.usefixtures("registry")
def test_data_of_a_named_data_set_may_be_moved(weights):
    dataset_of("data/mine/01_raw", "mine").save(release(weights))
    moved = dataset_of("abfs://raw/mine", "mine")
    moved.check_at_start()
    assert moved.load().tags["trained_on"] == "mine"


@pytest.mark.usefixtures("saved")
def test_version_that_does_not_name_its_data_is_loaded():
    assert dataset_of("data/01_raw/mnist").load().version == 1


def test_refused_release_is_the_reason_for_a_missing_version(registry, weights):
    """Not the advice to train, which has just been done."""
    required = RegisteredModelDataset(model_name="digits", registered_by="mnist_training")
    for number in (1, 2):
        with mlflow.start_run():
            registry.save(release(weights, approved=False, reason=f"accuracy 0.{number}"))
    for check in (required.load, required.check_at_start):
        with pytest.raises(
            DatasetError, match=r"pipelines mnist_training` refused .*: accuracy 0\.2"
        ):
            check()
    with mlflow.start_run():
        registry.save(release(weights))
    assert required.load().version == 1


def test_a_version_has_a_card_with_results_and_origin(files):
    client = mlflow.MlflowClient()
    text = client.get_registered_model("digits").description
    assert text.startswith("# digits, version 1\n")
    assert "| accuracy | 0.9 (0.8 to 0.95) |" in text
    assert "| classes | a\\|b |" in text
    assert f"| run_id | `{client.get_model_version('digits', '1').run_id}` |" in text
    assert (files.parents[1] / "MODEL_CARD.md").read_text() == text


def test_a_registry_without_aliases_and_descriptions_registers_as_well(
    registry, weights, monkeypatch
):
    def refuse(*args, **kwargs):
        raise mlflow.MlflowException("not found")

    for name in ("set_registered_model_alias", "update_registered_model", "get_registered_model"):
        monkeypatch.setattr(mlflow.MlflowClient, name, refuse)
    with mlflow.start_run():
        registry.save(release(weights, card=CARD))
    assert registry.saved_version == 1


def test_the_interval_of_a_share_is_wilsons():
    from scipy.stats import binomtest

    result = Result.from_share(3 / 200, 200)
    expected = binomtest(3, 200).proportion_ci(0.95, method="wilson")
    assert (result.low, result.high) == pytest.approx((expected.low, expected.high), abs=1e-6)
    assert Result.from_share(0, 50).low == pytest.approx(0)
