"""A training must be repeatable, resumable, and right with and without bfloat16."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from quartet.digits import convnet, convnet_training, precision
from quartet.digits.augmentation import augment, normalise
from quartet.digits.data import Digits, stratified_split
from quartet.digits.evaluation import accuracy
from quartet.digits.sample import load_bundled_digits
from quartet.digits.settings import ConvNetTraining

BRIEF = ConvNetTraining(seed=3, epochs=3, minimum_steps=0, batch_size=100)


@pytest.fixture(scope="module")
def split():
    return stratified_split(load_bundled_digits(), 0.3, np.random.default_rng(0))


@pytest.fixture(scope="module")
def few(split):
    train = split[0]
    return Digits(images=train["images"][:300], labels=train["labels"][:300])


def assert_same(first, second):
    assert first.keys() == second.keys()
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name], err_msg=name)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(few):
    first = convnet_training.train(few, BRIEF, 0.1).weights
    assert_same(first, convnet_training.train(few, BRIEF, 0.1).weights)
    other = convnet_training.train(few, BRIEF.model_copy(update={"seed": 4}), 0.1).weights
    assert not np.array_equal(first["head.weight"], other["head.weight"])


def test_a_stopped_training_goes_on_to_the_same_weights(few):
    class StoppedError(Exception):
        pass

    kept = []

    def stop_after_two(arrays, facts):
        kept.append((arrays, {"history": list(facts["history"])}))
        if len(kept) == 2:
            raise StoppedError

    with pytest.raises(StoppedError):
        convnet_training.train(few, BRIEF, 0.1, on_epoch=stop_after_two)
    resumed = convnet_training.train(few, BRIEF, 0.1, resume_from=kept[-1])
    whole = convnet_training.train(few, BRIEF, 0.1)
    assert_same(whole.weights, resumed.weights)
    assert [epoch["epoch"] for epoch in resumed.history] == [1, 2, 3]
    assert resumed.history[:2] == kept[-1][1]["history"]


def test_a_training_leaves_the_callers_random_state_and_threads_alone(few):
    torch.manual_seed(0)
    expected, threads = torch.rand(1), torch.get_num_threads()
    torch.manual_seed(0)
    convnet_training.train(few, BRIEF, 0.1, length=1)
    assert torch.rand(1) == expected
    assert torch.get_num_threads() == threads


def test_the_sample_is_learned(split):
    train, test = split
    network = convnet_training.train(train, BRIEF.model_copy(update={"minimum_steps": 300}), 0.15)
    shares = convnet.predict_proba(network.weights, test["images"])
    assert accuracy(shares, test["labels"]).value > 0.97
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-5)
    assert network.history[-1]["training_loss"] < network.history[0]["training_loss"] / 4


def test_float32_and_bfloat16_read_the_same_digits(split, few, monkeypatch):
    network = convnet_training.train(few, BRIEF.model_copy(update={"minimum_steps": 100}), 0.15)
    shares = {}
    for dtype in (torch.float32, torch.bfloat16):
        monkeypatch.setattr(convnet, "compute_type", lambda where, dtype=dtype: dtype)
        shares[dtype] = convnet.predict_proba(network.weights, split[1]["images"])
    np.testing.assert_allclose(shares[torch.float32], shares[torch.bfloat16], atol=0.06)
    assert np.abs(shares[torch.float32] - shares[torch.bfloat16]).max() > 0


def test_a_machine_without_bfloat16_trains_in_float32(few, monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    assert precision.compute_type(torch.device("cpu")) is torch.float32
    network = convnet_training.train(few, BRIEF.model_copy(update={"minimum_steps": 60}), 0.15)
    shares = convnet.predict_proba(network.weights, few["images"])
    assert accuracy(shares, few["labels"]).value > 0.9


def test_the_gradient_of_two_slices_is_that_of_the_whole_batch(few):
    """With statistics fixed, slicing must not change what a step does."""
    settings = BRIEF.model_copy(
        update={"rotation_degrees": 0, "scaling": 0, "shear": 0, "shift_pixels": 0}
    )
    course = convnet_training._Course(few, settings, 0.1, 1)
    network = convnet.ConvNet(torch.float32)
    network.load_state_dict(course._network.state_dict())
    network.eval()
    course._parameters = list(network.parameters())
    rows = torch.arange(99)  # odd: the slices differ in size
    slices = [
        course._gradient(network, torch.Generator().manual_seed(0), part)
        for part in rows.tensor_split(2)
    ]
    loss = F.cross_entropy(network(course._images[rows]), course._labels[rows])
    expected = torch.autograd.grad(loss, course._parameters)
    mean_loss = course._update(slices)
    torch.testing.assert_close(mean_loss, loss.detach())
    for parameter, gradient in zip(course._parameters, expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("epochs", "minimum_steps", "images", "expected"),
    [(10, 600, 60_000, 10), (10, 600, 1_437, 120), (2, 0, 10, 2), (1, 7, 10, 7)],
)
def test_small_sets_are_passed_over_more_often(epochs, minimum_steps, images, expected):
    settings = ConvNetTraining(seed=0, epochs=epochs, minimum_steps=minimum_steps)
    assert convnet_training.count_epochs(settings, images) == expected


def test_augmentation_without_reach_changes_nothing(few):
    still = BRIEF.model_copy(
        update={"rotation_degrees": 0, "scaling": 0, "shear": 0, "shift_pixels": 0}
    )
    images = normalise(few["images"][:20])
    moved = augment(images, still, torch.Generator().manual_seed(0))
    torch.testing.assert_close(moved, images, rtol=1e-4, atol=1e-4)


def test_augmentation_is_pytorchs_affine_sampling(few):
    images = normalise(few["images"][:5])
    generator = torch.Generator().manual_seed(1)
    moved = augment(images, BRIEF, generator)
    turn, wide, high, slant, across, down = (
        torch.rand(6, 5, generator=torch.Generator().manual_seed(1)) * 2 - 1
    )
    turn, slant = turn * np.deg2rad(12), slant * 0.1
    wide, high, across, down = 1 + wide * 0.1, 1 + high * 0.1, across * 4 / 28, down * 4 / 28
    rows = [
        torch.stack([turn.cos() * wide, slant - turn.sin() * high, across], 1),
        torch.stack([turn.sin() * wide, turn.cos() * high, down], 1),
    ]
    grid = F.affine_grid(torch.stack(rows, 1), [5, 1, 28, 28], align_corners=False)
    paper = images.min()
    expected = F.grid_sample(images - paper, grid, align_corners=False) + paper
    torch.testing.assert_close(moved, expected, rtol=1e-3, atol=1e-3)
