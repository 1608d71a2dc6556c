"""What the nodes choose, keep and release."""

import numpy as np
import pandas as pd
import pytest
from kedro.io import DataCatalog, DatasetError, MemoryDataset
from kedro.runner import SequentialRunner

from quartet.datasets.checkpoint import CheckpointDataset, State
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
    {"learning_rate": [0.1], "validation_accuracy": [0.9], "validation_log_loss": [0.3]}
)


@pytest.fixture(scope="module")
def split():
    return stratified_split(load_bundled_digits(), 0.2, np.random.default_rng(0))


@pytest.fixture
def checkpoint(tmp_path):
    return CheckpointDataset(filepath=str(tmp_path / "checkpoint")).load()


class StoppedError(Exception):
    """Stands for Ctrl-C or a lost machine."""


def stop_at_call(function, number):
    """`function`, raising instead of its nth call."""
    calls = []

    def stopped(*args, **kwargs):
        calls.append(args)
        if len(calls) == number:
            raise StoppedError
        return function(*args, **kwargs)

    stopped.calls = calls
    return stopped


def test_a_stopped_sweep_keeps_its_finished_fits(split, checkpoint, monkeypatch):
    whole, _, best = logistic_nodes.sweep_regularisation(*split, SWEEP, checkpoint)
    checkpoint.clear()
    judge = logistic.predict_proba
    monkeypatch.setattr(logistic, "probabilities", stop_at_call(judge, 3))
    with pytest.raises(StoppedError):
        logistic_nodes.sweep_regularisation(*split, SWEEP, checkpoint)
    resumed_judge = stop_at_call(judge, 99)
    monkeypatch.setattr(logistic, "probabilities", resumed_judge)
    resumed, _, resumed_best = logistic_nodes.sweep_regularisation(*split, SWEEP, checkpoint)
    assert len(resumed_judge.calls) == 1
    columns = ["regularisation_strength", "validation_accuracy"]
    pd.testing.assert_frame_equal(resumed[columns], whole[columns])
    np.testing.assert_allclose(resumed_best["coefficients"], best["coefficients"], atol=1e-3)
    assert (resumed["seconds"] > 0).all()


def test_a_stopped_search_keeps_its_finished_trials(split, checkpoint, monkeypatch):
    search = LearningRateSearch(learning_rates=(0.05, 0.1, 0.2), share=0.5)
    whole = convnet_nodes.search_learning_rate(*split, TRAINING, search, checkpoint)
    checkpoint.clear()
    train = convnet_training.train
    monkeypatch.setattr(convnet_training, "train", stop_at_call(train, 3))
    with pytest.raises(StoppedError):
        convnet_nodes.search_learning_rate(*split, TRAINING, search, checkpoint)
    resumed_train = stop_at_call(train, 99)
    monkeypatch.setattr(convnet_training, "train", resumed_train)
    resumed = convnet_nodes.search_learning_rate(*split, TRAINING, search, checkpoint)
    assert [call[2] for call in resumed_train.calls] == [0.2]
    pd.testing.assert_frame_equal(resumed.drop(columns="seconds"), whole.drop(columns="seconds"))


def test_a_stopped_training_keeps_its_epochs(split, checkpoint, monkeypatch):
    whole, *_ = convnet_nodes.train_best_convnet(split[0], TRIALS, TRAINING, checkpoint)
    checkpoint.clear()
    run_epoch = convnet_training._Course.run_epoch

    def stopped(self, epoch, *rest):
        if epoch == 1:
            raise StoppedError
        run_epoch(self, epoch, *rest)

    monkeypatch.setattr(convnet_training._Course, "run_epoch", stopped)
    with pytest.raises(StoppedError):
        convnet_nodes.train_best_convnet(split[0], TRIALS, TRAINING, checkpoint)
    epochs = []
    monkeypatch.setattr(
        convnet_training._Course,
        "run_epoch",
        lambda self, epoch, *rest: (epochs.append(epoch), run_epoch(self, epoch, *rest)),
    )
    resumed, history, _ = convnet_nodes.train_best_convnet(split[0], TRIALS, TRAINING, checkpoint)
    assert epochs == [1]
    assert history["epoch"].tolist() == [1, 2]
    for name, array in whole.items():
        np.testing.assert_array_equal(array, resumed[name])


CHECKPOINTS = ("sweep_checkpoint", "search_checkpoint", "convnet_checkpoint")


class FullDisk(MemoryDataset):
    """Saves nothing."""

    def save(self, data):
        raise DatasetError("no space left on device")


@pytest.mark.parametrize(
    ("node", "unsaved"),
    [
        ("sweep_regularisation", "sweep_weights"),
        ("search_learning_rate", "convnet_trials"),
        ("train_best_convnet", "convnet_history"),
    ],
)
def test_work_whose_result_could_not_be_saved_is_not_done_again(
    node, unsaved, split, tmp_path, monkeypatch
):
    given = {
        "train_digits": split[0],
        "fit_digits": split[0],
        "validation_digits": split[1],
        "params:regularisation_sweep": SWEEP,
        "params:convnet_training": TRAINING,
        "params:learning_rate_search": LearningRateSearch(learning_rates=(0.1,), share=0.5),
    }
    if node == "train_best_convnet":
        given["convnet_trials"] = TRIALS
    catalog = DataCatalog({name: MemoryDataset(value) for name, value in given.items()})
    for name in CHECKPOINTS:
        catalog[name] = CheckpointDataset(filepath=str(tmp_path / name))
    catalog[unsaved] = FullDisk()
    pipeline = create_pipeline().only_nodes(node)
    with pytest.raises(DatasetError, match="no space left"):
        SequentialRunner().run(pipeline, catalog)
    for owner, function in ((logistic, "probabilities"), (convnet_training._Course, "run_epoch")):
        monkeypatch.setattr(owner, function, stop_at_call(getattr(owner, function), 1))
    catalog[unsaved] = MemoryDataset()
    SequentialRunner().run(pipeline, catalog)
    assert len(catalog.load(unsaved)) > 0


def test_checkpoints_are_forgotten_when_what_was_made_of_them_is_saved(tmp_path):
    pipeline = create_pipeline()
    (last,) = pipeline.only_nodes("clear_checkpoints").nodes
    assert {name for name in pipeline.inputs() if name.endswith("_checkpoint")} == {*CHECKPOINTS}
    assert set(CHECKPOINTS) < set(last.inputs)
    before = {node.name for node in pipeline.to_nodes(last.name).nodes}
    writers = {node.name for node in pipeline.nodes if set(node.inputs) & set(CHECKPOINTS)}
    assert writers <= before
    kept = [CheckpointDataset(filepath=str(tmp_path / name)).load() for name in CHECKPOINTS]
    for checkpoint in kept:
        checkpoint.store("key", State(facts={"rows": [1]}))
    nodes.clear_checkpoints({"approved": True}, *kept)
    assert not list(tmp_path.iterdir())
    nodes.clear_checkpoints({"approved": True}, *kept)  # a run that found all done


def test_of_equally_accurate_strengths_the_strongest_is_taken():
    results = pd.DataFrame(
        {"regularisation_strength": [1.0, 10.0, 100.0], "validation_accuracy": [0.9, 0.9, 0.8]}
    )
    assert logistic_nodes.best_strength(results) == 10.0


def test_of_equally_accurate_learning_rates_the_surest_is_taken():
    trials = pd.DataFrame(
        {
            "learning_rate": [0.1, 0.2, 0.3],
            "validation_accuracy": [0.9, 0.9, 0.8],
            "validation_log_loss": [0.4, 0.3, 0.1],
        }
    )
    assert convnet_nodes.best_learning_rate(trials) == 0.2


class Reader:
    """A registered model that reads the given share of the test digits right."""

    def __init__(self, digits, share):
        labels = digits["labels"].copy()
        wrong = round((1 - share) * len(labels))
        labels[:wrong] = (labels[:wrong] + 1) % 10
        self._labels = labels

    def predict(self, images):
        return pd.DataFrame({"label": self._labels})


METRICS = {"logistic_test_accuracy": 0.9, "convnet_test_accuracy": 0.95}
WEIGHTS = {name: {"w": np.zeros(1, dtype=np.float32)} for name in ("logistic", "convnet")}


@pytest.mark.parametrize(("share", "approved"), [(0.90, True), (0.95, False), (0.99, False)])
def test_only_a_better_classifier_replaces_the_registered_one(share, approved):
    test = {"images": np.zeros((100, 28, 28), np.uint8), "labels": np.zeros(100, np.uint8)}
    champion = Champion(4, {"test_accuracy": "0.1"}, Reader(test, share))  # its own tag is no proof
    release = choose_release(WEIGHTS, test, test, METRICS, champion, {})
    assert release.approved == approved
    assert f"version 4's {share:.4f}" in release.reason


def test_the_first_classifier_is_registered_with_all_its_facts(split):
    release = choose_release(WEIGHTS, *split, METRICS, None, {"epochs": 3})
    assert release.approved
    assert release.tags["family"] == "convnet"
    assert release.tags["test_accuracy"] == "0.95"
    assert len(release.tags["test_data_sha256"]) == 64
    assert release.tags["train_data_sha256"] != release.tags["test_data_sha256"]
    assert release.tags["parameter.epochs"] == "3"
    assert release.tags["metric.logistic_test_accuracy"] == "0.9"
    assert release.tags["library.numpy"] == np.__version__
