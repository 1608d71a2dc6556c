"""Checkpoints restore the state of an interrupted run, and of no other."""

import numpy as np
import pytest

from quartet.datasets.checkpoint import CheckpointDataset, CheckpointState, fingerprint

STATE = CheckpointState(
    {"weights": np.arange(6, dtype=np.float32).reshape(2, 3)}, {"epochs": [1, 2]}
)


@pytest.fixture(params=["{tmp}/a/checkpoint", "memory://checkpoint-test/checkpoint"])
def dataset(tmp_path, request):
    return CheckpointDataset(filepath=request.param.format(tmp=tmp_path))


def test_restore_returns_the_stored_state(dataset):
    dataset.load().store("key", STATE)
    restored = dataset.load().restore("key")
    assert restored.facts == STATE.facts
    np.testing.assert_array_equal(restored.arrays["weights"], STATE.arrays["weights"])


def test_restore_for_another_fingerprint_is_empty(dataset):
    dataset.load().store("key", STATE)
    assert dataset.load().restore("another key") == CheckpointState()


def test_restore_after_clear_is_empty(dataset):
    checkpoint = dataset.load()
    checkpoint.store("key", STATE)
    checkpoint.clear()
    checkpoint.clear()
    assert checkpoint.restore("key") == CheckpointState()


def test_restore_of_a_damaged_file_is_empty(tmp_path):
    path = tmp_path / "checkpoint"
    checkpoint = CheckpointDataset(filepath=str(path)).load()
    checkpoint.store("key", STATE)
    truncated = path.read_bytes()[:-1]
    for content in (truncated, b"", b"garbage", b"\x08\x00\x00\x00\x00\x00\x00\x00{}      "):
        path.write_bytes(content)
        assert checkpoint.restore("key") == CheckpointState()


def test_facts_without_arrays_are_restored(dataset):
    dataset.load().store("key", CheckpointState(facts={"rows": [{"accuracy": 0.9}]}))
    assert dataset.load().restore("key").facts == {"rows": [{"accuracy": 0.9}]}


def test_fingerprint_depends_on_content_dtype_and_shape():
    zeros = np.zeros(4, dtype=np.uint8)
    fingerprints = {
        fingerprint(zeros),
        fingerprint(zeros + 1),
        fingerprint(zeros.reshape(2, 2)),
        fingerprint(zeros.astype(np.int8)),
        fingerprint({"a": zeros}),
        fingerprint({"b": zeros}),
        fingerprint(zeros, "seed=1"),
        fingerprint(zeros, "seed=2"),
    }
    assert len(fingerprints) == 8
    images, labels = np.zeros((2, 3)), np.ones(2)
    assert fingerprint({"images": images.copy(), "labels": labels}) == fingerprint(
        {"labels": labels, "images": images}  # files load arrays in any order
    )


def test_changed_value_counts_as_missing(tmp_path):
    """Training that goes on from a damaged state would end in other results, in silence."""
    path = tmp_path / "state.safetensors"
    checkpoint = CheckpointDataset(filepath=str(path)).load()
    checkpoint.store("key", CheckpointState({"w": np.arange(4.0)}, {"epoch": 7}))
    saved = path.read_bytes()
    for position in (saved.index(b"epoch") + 9, len(saved) - 1):
        damaged = bytearray(saved)
        damaged[position] ^= 1
        path.write_bytes(damaged)
        assert checkpoint.restore("key") == CheckpointState()
    path.write_bytes(saved)
    assert checkpoint.restore("key").facts == {"epoch": 7}
