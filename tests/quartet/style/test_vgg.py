"""Other weights of VGG-19 expect other input values and are not accepted by mistake."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from quartet.style.vgg import CAFFE_SHA256, Vgg19, select_vgg_weights, weights_digest
from style_inputs import random_vgg
from support import real_data


@pytest.fixture(scope="module")
def caffe():
    """Return the Caffe weights with further layers."""
    path = real_data("style/vgg19_caffe_bgr_conv1_1-conv3_4.pth")
    weights = torch.load(path, weights_only=True)
    arrays = {name: value.numpy() for name, value in weights.items()}
    return {**arrays, "features.19.weight": np.zeros((512, 256, 3, 3), np.float32)}


def test_caffe_weights_load_without_further_layers(caffe):
    tensors = select_vgg_weights(caffe)
    assert len(tensors) == 16
    assert weights_digest(tensors) == CAFFE_SHA256
    as_double = {name: array.astype(np.float64) for name, array in caffe.items()}
    assert weights_digest(select_vgg_weights(as_double)) == CAFFE_SHA256


def test_input_is_bgr_minus_the_mean(caffe):
    vgg = Vgg19(select_vgg_weights(caffe))
    picture = torch.linspace(0, 255, 32 * 32 * 3).reshape(1, 3, 32, 32)
    seen = vgg(picture, ["conv1_1"])["conv1_1"]
    blue_first = picture.flip(1) - torch.tensor([103.939, 116.779, 123.68]).view(1, 3, 1, 1)
    expected = F.conv2d(
        blue_first,
        torch.tensor(caffe["features.0.weight"]),
        torch.tensor(caffe["features.0.bias"]),
        padding=1,
    ).relu()
    torch.testing.assert_close(seen, expected)


@pytest.mark.parametrize("change", ["another model", "one value"])
def test_other_weights_raise_with_a_remedy(caffe, change):
    weights = random_vgg() if change == "another model" else dict(caffe)
    if change == "one value":
        weights["features.16.bias"] = weights["features.16.bias"].copy()
        weights["features.16.bias"][-1] += 1e-3
    with pytest.raises(ValueError, match=r"Caffe model.*BGR.*kedro fetch vgg.*verify_vgg=false"):
        select_vgg_weights(weights)


def test_verification_can_be_disabled():
    tensors = select_vgg_weights(random_vgg(), verify=False)
    assert weights_digest(tensors) != CAFFE_SHA256
    assert Vgg19(tensors)(torch.zeros(1, 3, 16, 16), ["conv3_4"])["conv3_4"].shape[1:] == (
        256,
        4,
        4,
    )


def test_missing_weights_are_named():
    weights = random_vgg()
    weights["features.5.weight"] = weights["features.5.weight"][:64]
    with pytest.raises(
        ValueError, match=r"features\.5\.weight of shape \(128, 64, 3, 3\) is missing"
    ):
        select_vgg_weights(weights)
    del weights["features.0.bias"]
    with pytest.raises(ValueError, match=r"features\.0\.bias of shape \(64,\) is missing"):
        select_vgg_weights(weights)


def test_deeper_layers_are_not_computed():
    vgg = Vgg19(select_vgg_weights(random_vgg(), verify=False))
    deep = torch.zeros(1)
    vgg.get_submodule("conv2_1").register_forward_hook(lambda *_: deep.fill_(1))
    found = vgg(torch.rand(2, 3, 16, 16) * 255, ["conv1_1", "conv1_2"])
    assert list(found) == ["conv1_1", "conv1_2"]
    assert not deep.any()
    assert not any(value.requires_grad for value in vgg.parameters())
