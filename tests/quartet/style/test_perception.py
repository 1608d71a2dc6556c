"""Perceptual losses measure what they state."""

import numpy as np
import pytest
import torch

from quartet.style.perception import PerceptualLoss, gram_matrices
from quartet.style.vgg import Vgg19, select_vgg_weights
from style_inputs import photographs, random_vgg, stripes

LAYERS = ("conv1_2", "conv2_2")


def tensor(*pictures):
    return torch.tensor(np.stack(pictures)).permute(0, 3, 1, 2).float()


@pytest.fixture(scope="module")
def vgg():
    return Vgg19(select_vgg_weights(random_vgg(), verify=False))


@pytest.fixture(scope="module")
def loss(vgg):
    return PerceptualLoss.from_painting(vgg, tensor(stripes()), LAYERS, "conv2_2")


def test_gram_matrices_are_means_over_positions():
    features = torch.randn(2, 3, 4, 5)
    expected = torch.einsum("nchw,ndhw->ncd", features, features) / 20
    torch.testing.assert_close(gram_matrices(features), expected)


def test_losses_vanish_for_photograph_and_painting(loss):
    photograph, painting = tensor(photographs(1)["0.png"]), tensor(stripes())
    assert loss(photograph, photograph).content == 0
    assert loss(photograph, photograph).style > 0.01
    assert loss(painting, painting).style == pytest.approx(0, abs=1e-10)
    assert loss(painting, photograph[:, :, :64]).content > 0.01


def test_style_loss_is_translation_invariant(loss):
    """Stripes shifted by their period are the same stripes."""
    wide = stripes(64, 96 + 12)
    moved = loss(tensor(wide[:, 12:]), tensor(wide[:, 12:]))
    assert moved.style == pytest.approx(0, abs=1e-10)


def test_losses_are_relative_to_their_target(vgg):
    """Otherwise, brighter paintings would need other weights."""
    painting, photograph = tensor(stripes()), tensor(photographs(1)["0.png"])
    black = tensor(np.zeros((64, 96, 3), np.uint8))
    loss = PerceptualLoss.from_painting(vgg, painting, ("conv1_1",), "conv1_1")
    found = loss(black, photograph[:, :, :64])
    wanted = vgg(photograph[:, :, :64], ["conv1_1"])["conv1_1"]
    seen = vgg(black, ["conv1_1"])["conv1_1"]
    assert found.content == pytest.approx(
        float((seen - wanted).square().mean() / wanted.square().mean()), rel=1e-5
    )
    target = gram_matrices(vgg(painting, ["conv1_1"])["conv1_1"])
    assert found.style == pytest.approx(
        float((gram_matrices(seen) - target).square().sum() / target.square().sum()), rel=1e-5
    )


def test_roughness_is_the_total_variation_per_pixel(loss):
    plain = tensor(np.full((16, 16, 3), 90, np.uint8))
    assert loss(plain, plain).roughness == 0
    board = np.indices((16, 16)).sum(axis=0) % 2 * 255
    board = tensor(np.repeat(board[:, :, None], 3, axis=2).astype(np.uint8))
    assert loss(board, board).roughness == pytest.approx(2)


def test_batch_losses_are_means_over_pictures(loss):
    """Two threads that each take half of a batch must give the same result."""
    subjects = list(photographs(3).values())
    stylized = [subject[:, ::-1].copy() for subject in subjects]
    complete = loss(tensor(*stylized), tensor(*subjects))
    each = [loss(tensor(a), tensor(b)) for a, b in zip(stylized, subjects, strict=True)]
    for name in ("content", "style", "roughness"):
        mean = np.mean([float(getattr(part, name)) for part in each])
        assert getattr(complete, name) == pytest.approx(mean, rel=1e-4)
