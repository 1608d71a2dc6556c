"""Only versions that load are registered, and earlier ones remain."""

import sys
from pathlib import Path

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


@pytest.fixture
def registry(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    yield RegisteredModelDataset(model_name="digits")
    mlflow.end_run()


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


def test_approved_release_becomes_the_next_version(registry, weights):
    for version in (1, 2):
        with mlflow.start_run():
            registry.save(release(weights, reason=f"release {version}"))
        champion = registry.load()
        assert champion.version == version
    assert champion.tags["test_accuracy"] == "0.9"
    np.testing.assert_array_equal(
        champion.predict(IMAGES[:20])["label"],
        logistic.predict_proba(weights, IMAGES[:20]).argmax(axis=1),
    )
    entry = mlflow.MlflowClient().get_model_version("digits", "2")
    assert entry.description == "release 2"


@pytest.mark.usefixtures("registry")
def test_missing_required_model_raises_with_registry_name():
    plant = RegisteredModelDataset(model_name="plant_models", registered_by="anomaly_training")
    with pytest.raises(DatasetError, match="plant_models: no version is registered") as error:
        plant.load()
    assert "`kedro run --pipelines anomaly_training`" in str(error.value)


def test_version_has_tags_of_its_run_and_code(registry, weights):
    with mlflow.start_run() as run:
        registry.save(release(weights))
    tags = registry.load().tags
    assert tags["run_id"] == run.info.run_id
    assert tags["code_sha256"] == compute_code_digest(ROOT / "src/quartet")


def test_import_path_is_preserved(registry, weights):
    before = list(sys.path)
    registry.save(release(weights))
    registry.load()
    assert sys.path == before


def test_release_that_is_not_approved_changes_nothing(registry, weights):
    registry.save(release(weights))
    registry.save(release(weights, approved=False))
    assert registry.load().version == 1


def test_release_that_cannot_predict_is_not_registered(registry, weights):
    registry.save(release(weights))
    with pytest.raises(DatasetError):
        registry.save(release(weights, files={serving.WEIGHTS_FILE: b"garbage"}))
    assert registry.load().version == 1


def test_version_without_files_raises(registry, weights):
    registry.save(release(weights))
    client = mlflow.MlflowClient()
    client.create_model_version("digits", source="file:///nowhere/at/all")
    with pytest.raises(DatasetError, match="digits: registered version 2 cannot be loaded"):
        registry.load()


def test_model_contains_code_requirements_and_signature_but_no_pickle(registry, weights):
    with mlflow.start_run() as run:
        registry.save(release(weights))
    folder = mlflow.artifacts.download_artifacts(f"{run.info.artifact_uri}/digits")
    model = mlflow.models.Model.load(folder)
    tensor = model.signature.inputs.to_dict()[0]["tensor-spec"]
    assert (tensor["dtype"], tuple(tensor["shape"])) == ("uint8", (-1, 28, 28))
    names = {path.relative_to(folder).as_posix() for path in Path(folder).rglob("*")}
    assert "code/quartet/digits/serving.py" in names
    assert "code/quartet/pipelines" not in names
    assert not [name for name in names if name.endswith((".pkl", ".pickle", ".joblib"))]
    requirements = (Path(folder) / "requirements.txt").read_text().split()
    assert f"numpy=={np.__version__}" in requirements
    assert not [line for line in requirements if "+" in line]


def files_of_version(run):
    """Return the folder with the data files of the model that a run logged."""
    folder = Path(mlflow.artifacts.download_artifacts(f"{run.info.artifact_uri}/digits"))
    return folder / "data/data"


def damage(path):
    """Change one bit, of a number or a checksum."""
    content = bytearray(path.read_bytes())
    content[0 if path.name == "SHA256SUMS" else -1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", [serving.WEIGHTS_FILE, "SHA256SUMS"])
def test_damaged_file_of_valid_length_raises(registry, weights, name):
    with mlflow.start_run() as run:
        registry.save(release(weights))
    path = files_of_version(run) / name
    damage(path)
    with pytest.raises(DatasetError, match=r"version 1 cannot be loaded \(.*is damaged"):
        registry.load()
    damage(path)
    assert registry.load().version == 1


def test_a_server_refuses_a_damaged_file_too(registry, weights):
    with mlflow.start_run() as run:
        registry.save(release(weights))
    folder = files_of_version(run)
    damage(folder / serving.WEIGHTS_FILE)
    with pytest.raises(ValueError, match="is damaged"):
        serving._load_pyfunc(str(folder))


def test_version_without_checksums_is_loaded(registry, weights):
    with mlflow.start_run() as run:
        registry.save(release(weights))
    (files_of_version(run) / "SHA256SUMS").unlink()
    assert registry.load().version == 1


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


def test_version_that_does_not_name_its_data_is_loaded(registry, weights):
    registry.save(release(weights))
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


CARD = ModelCard(
    summary="Reads digits.",
    data={"training images": "10", "classes": "a|b"},
    results={"accuracy": Result(0.9, 0.8, 0.95), "loss": Result(0.25)},
    evaluation="On test images.",
    intended_use="Reading.",
    limitations=["Other images get a label, too."],
    licences=["Apache License 2.0."],
)


def test_a_version_has_a_card_with_results_and_origin(registry, weights):
    with mlflow.start_run() as run:
        registry.save(release(weights, card=CARD))
    client = mlflow.MlflowClient()
    text = client.get_registered_model("digits").description
    assert text.startswith("# digits, version 1\n")
    assert "| accuracy | 0.9 (0.8 to 0.95) |" in text
    assert "| classes | a\\|b |" in text
    assert f"| run_id | `{run.info.run_id}` |" in text
    saved = mlflow.artifacts.download_artifacts("models:/digits/1")
    assert (Path(saved) / "MODEL_CARD.md").read_text() == text
    assert registry.load().version == 1


def read_aliases():
    aliases = mlflow.MlflowClient().get_registered_model("digits").aliases
    return {alias: int(version) for alias, version in aliases.items()}


def test_the_better_version_becomes_champion(registry, weights):
    for version in (1, 2):
        with mlflow.start_run():
            registry.save(release(weights))
        assert read_aliases() == {"champion": version}
    predicted = mlflow.pyfunc.load_model("models:/digits@champion").predict(IMAGES[:2])
    assert len(predicted) == 2


def test_a_champion_chosen_by_hand_stays(registry, weights):
    for _ in range(2):
        with mlflow.start_run():
            registry.save(release(weights))
    mlflow.MlflowClient().set_registered_model_alias("digits", "champion", "1")
    with mlflow.start_run():
        registry.save(release(weights))
    assert read_aliases() == {"champion": 1, "candidate": 3}


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
