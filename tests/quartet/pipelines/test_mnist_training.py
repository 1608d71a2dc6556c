"""What the nodes select, resume and release."""

import numpy as np
import pandas as pd
import pytest
from kedro.io import DataCatalog, DatasetError, MemoryDataset
from kedro.runner import SequentialRunner

from quartet.datasets.checkpoint import CheckpointDataset, CheckpointState
from quartet.datasets.registered_model import Champion
from quartet.digits import convnet_training, logistic
from quartet.digits.data import stratified_split
from quartet.digits.sample import load_bundled_digits
from quartet.digits.settings import ConvNetTraining, LearningRateSearch, RegularisationSweep
from quartet.pipelines.mnist_training import convnet as convnet_nodes
from quartet.pipelines.mnist_training import create_pipeline, nodes
from quartet.pipelines.mnist_training import logistic as logistic_nodes
from quartet.pipelines.mnist_training.release import choose_release

SWEEP = RegularisationSweep(strengths=(1, 10, 100), tolerance=1e-3)
TRAINING = ConvNetTraining(seed=1, epochs=2, minimum_steps=0)
TRIALS = pd.DataFrame(
    {
        "learning_rate": [0.1],
        "validation_accuracy": [0.9],
        "validation_log_loss": [0.3],
        "epochs": [1],
    }
)


@pytest.fixture(scope="module")
def split():
    return stratified_split(load_bundled_digits(), 0.2, np.random.default_rng(0))


@pytest.fixture
def checkpoint(tmp_path):
    return CheckpointDataset(filepath=str(tmp_path / "checkpoint")).load()


class StoppedError(Exception):
    """Simulates Ctrl-C or a lost machine."""


def stop_at_call(function, count):
    """Return `function`, raising instead of its nth call."""
    calls = []

    def stopped(*args, **kwargs):
        calls.append(args)
        if len(calls) == count:
            raise StoppedError
        return function(*args, **kwargs)

    stopped.calls = calls
    return stopped


def test_resumed_sweep_skips_finished_fits(split, checkpoint, monkeypatch):
    uninterrupted, _, best = logistic_nodes.sweep_regularisation(*split, SWEEP, checkpoint)
    checkpoint.clear()
    predict_proba = logistic.predict_proba
    monkeypatch.setattr(logistic, "predict_proba", stop_at_call(predict_proba, 3))
    with pytest.raises(StoppedError):
        logistic_nodes.sweep_regularisation(*split, SWEEP, checkpoint)
    resumed_predict = stop_at_call(predict_proba, 99)
    monkeypatch.setattr(logistic, "predict_proba", resumed_predict)
    resumed, _, resumed_best = logistic_nodes.sweep_regularisation(*split, SWEEP, checkpoint)
    assert len(resumed_predict.calls) == 1
    columns = ["regularisation_strength", "validation_accuracy"]
    pd.testing.assert_frame_equal(resumed[columns], uninterrupted[columns])
    np.testing.assert_allclose(resumed_best["coefficients"], best["coefficients"], atol=1e-3)
    assert (resumed["seconds"] > 0).all()


def test_resumed_search_skips_finished_trials(split, checkpoint, monkeypatch):
    search = LearningRateSearch(learning_rates=(0.05, 0.1, 0.2), share=0.5)
    split = [{name: array[:300] for name, array in part.items()} for part in split]
    uninterrupted = convnet_nodes.search_learning_rate(*split, TRAINING, search, checkpoint)
    checkpoint.clear()
    train = convnet_training.train
    monkeypatch.setattr(convnet_training, "train", stop_at_call(train, 3))
    with pytest.raises(StoppedError):
        convnet_nodes.search_learning_rate(*split, TRAINING, search, checkpoint)
    resumed_train = stop_at_call(train, 99)
    monkeypatch.setattr(convnet_training, "train", resumed_train)
    resumed = convnet_nodes.search_learning_rate(*split, TRAINING, search, checkpoint)
    assert [call[2] for call in resumed_train.calls] == [0.2]
    pd.testing.assert_frame_equal(
        resumed.drop(columns="seconds"), uninterrupted.drop(columns="seconds")
    )


def test_resumed_training_skips_finished_epochs(split, checkpoint, monkeypatch):
    uninterrupted, *_ = convnet_nodes.train_best_convnet(split[0], TRIALS, TRAINING, checkpoint)
    checkpoint.clear()
    run_epoch = convnet_training._Trainer.run_epoch

    def stopped(self, epoch, *rest):
        if epoch == 1:
            raise StoppedError
        run_epoch(self, epoch, *rest)

    monkeypatch.setattr(convnet_training._Trainer, "run_epoch", stopped)
    with pytest.raises(StoppedError):
        convnet_nodes.train_best_convnet(split[0], TRIALS, TRAINING, checkpoint)
    epochs = []
    monkeypatch.setattr(
        convnet_training._Trainer,
        "run_epoch",
        lambda self, epoch, *rest: (epochs.append(epoch), run_epoch(self, epoch, *rest)),
    )
    resumed, history, _ = convnet_nodes.train_best_convnet(split[0], TRIALS, TRAINING, checkpoint)
    assert epochs == [1]
    assert history["epoch"].tolist() == [1, 2]
    for name, array in uninterrupted.items():
        np.testing.assert_array_equal(array, resumed[name])


CHECKPOINTS = ("sweep_checkpoint", "search_checkpoint", "convnet_checkpoint")


class FullDisk(MemoryDataset):
    """Fails on saving."""

    def save(self, data):
        raise DatasetError("no space left on device")


@pytest.mark.parametrize(
    ("node", "unsaved"),
    [
        ("logistic.sweep_regularisation", "sweep_weights"),
        ("convnet.search_learning_rate", "convnet_trials"),
        ("convnet.train_best_convnet", "convnet_history"),
    ],
)
def test_rerun_after_a_failed_save_repeats_no_work(node, unsaved, split, tmp_path, monkeypatch):
    given = {
        "train_digits": split[0],
        "fit_digits": split[0],
        "validation_digits": split[1],
        "params:regularisation_sweep": SWEEP,
        "params:convnet_training": TRAINING,
        "params:learning_rate_search": LearningRateSearch(learning_rates=(0.1,), share=0.5),
    }
    if node == "convnet.train_best_convnet":
        given["convnet_trials"] = TRIALS
    catalog = DataCatalog({name: MemoryDataset(value) for name, value in given.items()})
    for name in CHECKPOINTS:
        catalog[name] = CheckpointDataset(filepath=str(tmp_path / name))
    catalog[unsaved] = FullDisk()
    pipeline = create_pipeline().only_nodes(node)
    with pytest.raises(DatasetError, match="no space left"):
        SequentialRunner().run(pipeline, catalog)
    for owner, function in ((logistic, "predict_proba"), (convnet_training._Trainer, "run_epoch")):
        monkeypatch.setattr(owner, function, stop_at_call(getattr(owner, function), 1))
    catalog[unsaved] = MemoryDataset()
    SequentialRunner().run(pipeline, catalog)
    assert len(catalog.load(unsaved)) > 0


def test_checkpoints_are_cleared_after_their_results_are_saved(tmp_path):
    pipeline = create_pipeline()
    (last,) = pipeline.only_nodes("clear_checkpoints").nodes
    assert {name for name in pipeline.inputs() if name.endswith("_checkpoint")} == {*CHECKPOINTS}
    assert set(CHECKPOINTS) < set(last.inputs)
    before = {node.name for node in pipeline.to_nodes(last.name).nodes}
    writers = {node.name for node in pipeline.nodes if set(node.inputs) & set(CHECKPOINTS)}
    assert writers <= before
    checkpoints = [CheckpointDataset(filepath=str(tmp_path / name)).load() for name in CHECKPOINTS]
    for checkpoint in checkpoints:
        checkpoint.store("key", CheckpointState(facts={"rows": [1]}))
    nodes.clear_checkpoints({"approved": True}, *checkpoints)
    assert not list(tmp_path.iterdir())
    nodes.clear_checkpoints({"approved": True}, *checkpoints)  # without files


def test_strongest_of_equally_accurate_strengths_is_selected():
    results = pd.DataFrame(
        {"regularisation_strength": [1.0, 10.0, 100.0], "validation_accuracy": [0.9, 0.9, 0.8]}
    )
    assert logistic_nodes.select_strength(results) == 10.0


def test_lowest_log_loss_selects_among_equally_accurate_learning_rates():
    trials = pd.DataFrame(
        {
            "learning_rate": [0.1, 0.2, 0.3],
            "validation_accuracy": [0.9, 0.9, 0.8],
            "validation_log_loss": [0.4, 0.3, 0.1],
        }
    )
    assert convnet_nodes.select_learning_rate(trials) == 0.2


class FakeModel:
    """A registered model with the given accuracy on the test digits."""

    def __init__(self, digits, accuracy):
        labels = digits["labels"].copy()
        wrong = round((1 - accuracy) * len(labels))
        labels[:wrong] = (labels[:wrong] + 1) % 10
        self._labels = labels

    def predict(self, images):
        return pd.DataFrame({"label": self._labels})


METRICS = {"logistic_test_accuracy": 0.9, "convnet_test_accuracy": 0.95}
WEIGHTS = {name: {"w": np.zeros(1, dtype=np.float32)} for name in ("logistic", "convnet")}


@pytest.mark.parametrize(("accuracy", "approved"), [(0.90, True), (0.95, False), (0.99, False)])
def test_only_a_better_classifier_is_approved(accuracy, approved):
    test = {"images": np.zeros((100, 28, 28), np.uint8), "labels": np.zeros(100, np.uint8)}
    champion = Champion(
        4, {"test_accuracy": "0.1"}, FakeModel(test, accuracy)
    )  # measured, not the tag
    release = choose_release(WEIGHTS, test, test, METRICS, champion, {})
    assert release.approved == approved
    assert f"version 4's {accuracy:.4f}" in release.reason


def test_first_classifier_is_approved_with_all_tags(split):
    release = choose_release(WEIGHTS, *split, METRICS, None, {"epochs": 3})
    assert release.approved
    assert release.tags["family"] == "convnet"
    assert release.tags["test_accuracy"] == "0.95"
    assert len(release.tags["test_data_sha256"]) == 64
    assert release.tags["train_data_sha256"] != release.tags["test_data_sha256"]
    assert release.tags["parameter.epochs"] == "3"
    assert release.tags["metric.logistic_test_accuracy"] == "0.9"
    assert release.tags["library.numpy"] == np.__version__


def test_card_names_data_accuracy_and_baseline(split):
    card = choose_release(WEIGHTS, *split, METRICS, None, {}).card
    assert card.data["training images"] == f"{len(split[0]['labels']):,}"
    assert next(iter(card.results)) == "convnet: test accuracy"  # the released one
    assert card.results["convnet: test accuracy"].value == 0.95
    assert card.results["logistic: test accuracy"].value == 0.9
