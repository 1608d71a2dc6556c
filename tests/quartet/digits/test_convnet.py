"""Training is reproducible, resumable and correct with and without bfloat16."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from quartet.digits import convnet, convnet_training, precision
from quartet.digits.augmentation import augment, crop, find_margin, normalise
from quartet.digits.data import Digits, stratified_split
from quartet.digits.evaluation import accuracy
from quartet.digits.sample import load_bundled_digits
from quartet.digits.settings import ConvNetTraining, LearningRateSearch

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


def test_weights_depend_on_the_seed_only(few):
    first = convnet_training.train(few, BRIEF, 0.1).weights
    assert_same(first, convnet_training.train(few, BRIEF, 0.1).weights)
    other = convnet_training.train(few, BRIEF.model_copy(update={"seed": 4}), 0.1).weights
    assert not np.array_equal(first["head.weight"], other["head.weight"])


def test_training_does_not_change_the_callers_random_state_and_threads(few):
    torch.manual_seed(0)
    expected, threads = torch.rand(1), torch.get_num_threads()
    torch.manual_seed(0)
    convnet_training.train(few, BRIEF, 0.1, epochs=1)
    assert torch.rand(1) == expected
    assert torch.get_num_threads() == threads


def test_training_on_the_sample_reaches_97_percent(split):
    train, test = split
    network = convnet_training.train(train, BRIEF.model_copy(update={"minimum_steps": 300}), 0.15)
    probabilities = convnet.predict_proba(network.weights, test["images"])
    assert accuracy(probabilities, test["labels"]).value > 0.97
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    assert network.history[-1]["training_loss"] < network.history[0]["training_loss"] / 4


def test_float32_and_bfloat16_predict_similar_probabilities(split, few, monkeypatch):
    network = convnet_training.train(few, BRIEF.model_copy(update={"minimum_steps": 100}), 0.15)
    probabilities = {}
    for dtype in (torch.float32, torch.bfloat16):
        monkeypatch.setattr(convnet, "select_compute_dtype", lambda device, dtype=dtype: dtype)
        probabilities[dtype] = convnet.predict_proba(network.weights, split[1]["images"])
    np.testing.assert_allclose(
        probabilities[torch.float32], probabilities[torch.bfloat16], atol=0.06
    )
    assert np.abs(probabilities[torch.float32] - probabilities[torch.bfloat16]).max() > 0


def test_training_without_bfloat16_support_uses_float32(few, monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    assert precision.select_compute_dtype(torch.device("cpu")) is torch.float32
    network = convnet_training.train(few, BRIEF.model_copy(update={"minimum_steps": 60}), 0.15)
    probabilities = convnet.predict_proba(network.weights, few["images"])
    assert accuracy(probabilities, few["labels"]).value > 0.9


def test_gradient_of_two_slices_equals_that_of_the_batch(few):
    """With fixed running statistics, a step does not depend on the slices."""
    settings = BRIEF.model_copy(
        update={"rotation_degrees": 0, "scaling": 0, "shear": 0, "shift_pixels": 0}
    )
    trainer = convnet_training._Trainer(few, settings, 0.1, 1)
    network = convnet.ConvNet(torch.float32)
    network.load_state_dict(trainer._network.state_dict())
    network.eval()
    trainer._parameters = list(network.parameters())
    rows = torch.arange(99)  # odd: the slices differ in size
    slices = [
        trainer._gradient(network, torch.Generator().manual_seed(0), part)
        for part in rows.tensor_split(2)
    ]
    images = crop(trainer._images[rows], trainer._margin)
    logits = network(images) * convnet_training._LOGIT_SCALE
    loss = F.cross_entropy(logits, trainer._labels[rows])
    expected = torch.autograd.grad(loss, trainer._parameters)
    mean_loss = trainer._update(slices)
    torch.testing.assert_close(mean_loss, loss.detach())
    for parameter, gradient in zip(trainer._parameters, expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("epochs", "minimum_steps", "images", "expected"),
    [(10, 600, 60_000, 10), (10, 600, 1_437, 120), (2, 0, 10, 2), (1, 7, 10, 7)],
)
def test_small_sets_are_trained_for_more_epochs(epochs, minimum_steps, images, expected):
    settings = ConvNetTraining(seed=0, epochs=epochs, minimum_steps=minimum_steps)
    assert convnet_training.count_epochs(settings, images) == expected


def test_augmentation_of_zero_strength_changes_nothing(few):
    zero_strength = BRIEF.model_copy(
        update={"rotation_degrees": 0, "scaling": 0, "shear": 0, "shift_pixels": 0}
    )
    images = normalise(few["images"][:20])
    augmented = augment(images, zero_strength, torch.Generator().manual_seed(0))
    torch.testing.assert_close(augmented, images, rtol=1e-4, atol=1e-4)


def test_augmentation_agrees_with_pytorchs_affine_grid(few):
    images = normalise(few["images"][:5])
    generator = torch.Generator().manual_seed(1)
    augmented = augment(images, BRIEF, generator)
    angle, width, height, shear, dx, dy = (
        torch.rand(6, 5, generator=torch.Generator().manual_seed(1)) * 2 - 1
    )
    angle, shear = angle * np.deg2rad(12), shear * 0.1
    width, height, dx, dy = 1 + width * 0.1, 1 + height * 0.1, dx * 4 / 28, dy * 4 / 28
    rows = [
        torch.stack([angle.cos() * width, shear - angle.sin() * height, dx], 1),
        torch.stack([angle.sin() * width, angle.cos() * height, dy], 1),
    ]
    grid = F.affine_grid(torch.stack(rows, 1), [5, 1, 28, 28], align_corners=False)
    background = images.min()
    expected = F.grid_sample(images - background, grid, align_corners=False) + background
    torch.testing.assert_close(augmented, expected, rtol=1e-3, atol=1e-3)


def test_only_borders_without_ink_are_cropped():
    images, labels = np.zeros((200, 28, 28), np.uint8), np.repeat([0, 1, 2, 3], 50)
    assert find_margin(Digits(images=images, labels=labels)) == 2
    images[:, 4:24, 4:24] = 200
    assert find_margin(Digits(images=images, labels=labels)) == 2
    images[labels == 3, 1, 4:24] = 200  # a twentieth of the ink of one class
    assert find_margin(Digits(images=images, labels=labels)) == 1
    images[labels == 2, 4:24, 0] = 200
    assert find_margin(Digits(images=images, labels=labels)) == 0


def test_images_with_ink_at_the_border_are_classified_by_it():
    """Neither training nor prediction may lose the border of images that use it."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, 200).astype(np.uint8)
    images = generator.integers(0, 30, (200, 28, 28)).astype(np.uint8)
    images[labels == 1, 0] = 255
    still = BRIEF.model_copy(
        update={"rotation_degrees": 0, "scaling": 0, "shear": 0, "shift_pixels": 0, "epochs": 10}
    )
    network = convnet_training.train(Digits(images=images, labels=labels), still, 0.1)
    probabilities = convnet.predict_proba(network.weights, images)
    assert accuracy(probabilities, labels).value == 1


def test_augmentation_of_cropped_images_equals_the_crop_of_augmented_images(few):
    images = normalise(few["images"][:20])
    complete, cropped = (
        augment(images, BRIEF, torch.Generator().manual_seed(2), margin) for margin in (0, 2)
    )
    torch.testing.assert_close(cropped, complete[:, :, 2:26, 2:26])


def test_training_is_stable_at_the_default_learning_rates(few):
    settings = BRIEF.model_copy(update={"minimum_steps": 60})
    for rate in LearningRateSearch().learning_rates:
        losses = [
            epoch["training_loss"] for epoch in convnet_training.train(few, settings, rate).history
        ]
        assert max(losses) < 3  # that of a guess is log(10) = 2.3
        assert losses[-1] < 0.2


def test_weights_of_release_0_1_0_still_predict(few):
    """They have fewer layers and no margin; a new version is compared with them."""
    layers = convnet.three_convolutions(96)
    state = convnet.ConvNet(torch.float32, 10, layers, 96).state_dict()
    weights = {name: tensor.numpy() for name, tensor in state.items()}
    assert convnet.predict_proba(weights, few["images"]).shape == (300, 10)
