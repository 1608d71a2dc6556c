"""Work that was stopped must go on where it was, and never from another run's state."""

import numpy as np
import pytest
from kedro.io import DatasetError

from quartet.datasets.checkpoint import CheckpointDataset, CheckpointState, fingerprint

STATE = CheckpointState(
    {"weights": np.arange(6, dtype=np.float32).reshape(2, 3)}, {"epochs": [1, 2]}
)


@pytest.fixture(params=["{tmp}/a/checkpoint", "memory://checkpoint-test/checkpoint"])
def dataset(tmp_path, request):
    return CheckpointDataset(filepath=request.param.format(tmp=tmp_path))


def test_what_was_stored_is_restored_by_a_later_process(dataset):
    dataset.load().store("key", STATE)
    restored = dataset.load().restore("key")
    assert restored.facts == STATE.facts
    np.testing.assert_array_equal(restored.arrays["weights"], STATE.arrays["weights"])


def test_other_data_or_parameters_start_over(dataset):
    dataset.load().store("key", STATE)
    assert dataset.load().restore("another key") == CheckpointState()


def test_finished_work_starts_over(dataset):
    checkpoint = dataset.load()
    checkpoint.store("key", STATE)
    checkpoint.clear()
    checkpoint.clear()
    assert checkpoint.restore("key") == CheckpointState()


@pytest.mark.parametrize("content", [b"", b"garbage", b"\x08\x00\x00\x00\x00\x00\x00\x00{}      "])
def test_a_damaged_checkpoint_starts_over(tmp_path, content):
    path = tmp_path / "checkpoint"
    path.write_bytes(content)
    assert CheckpointDataset(filepath=str(path)).load().restore("key") == CheckpointState()


def test_a_truncated_checkpoint_starts_over(tmp_path):
    path = tmp_path / "checkpoint"
    checkpoint = CheckpointDataset(filepath=str(path)).load()
    checkpoint.store("key", STATE)
    path.write_bytes(path.read_bytes()[:-1])
    assert checkpoint.restore("key") == CheckpointState()


def test_facts_without_arrays_are_kept(dataset):
    dataset.load().store("key", CheckpointState(facts={"rows": [{"accuracy": 0.9}]}))
    assert dataset.load().restore("key").facts == {"rows": [{"accuracy": 0.9}]}


def test_a_checkpoint_cannot_be_an_output(dataset):
    with pytest.raises(DatasetError, match="never an output"):
        dataset.save(STATE)


def test_fingerprints_tell_contents_types_and_shapes_apart():
    zeros = np.zeros(4, dtype=np.uint8)
    prints = {
        fingerprint(zeros),
        fingerprint(zeros + 1),
        fingerprint(zeros.reshape(2, 2)),
        fingerprint(zeros.astype(np.int8)),
        fingerprint({"a": zeros}),
        fingerprint({"b": zeros}),
        fingerprint(zeros, "seed=1"),
        fingerprint(zeros, "seed=2"),
    }
    assert len(prints) == 8
    assert fingerprint({"a": zeros}) == fingerprint({"a": zeros.copy()})


def test_the_order_in_which_arrays_were_loaded_does_not_matter():
    images, labels = np.zeros((2, 3)), np.ones(2)
    assert fingerprint({"images": images, "labels": labels}) == fingerprint(
        {"labels": labels, "images": images}
    )
