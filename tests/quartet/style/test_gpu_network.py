"""The form of the style network for a GPU, computed on the CPU."""

import pytest
import torch

from quartet.style.gpu import GpuNetwork
from quartet.style.inference import is_uniform
from quartet.style.network import StyleNetwork, to_pictures

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    network = StyleNetwork(8).eval().requires_grad_(False)
    for module in network.modules():
        if isinstance(module, torch.nn.InstanceNorm2d):
            module.weight.uniform_(0.5, 1.5)
            module.bias.uniform_(-0.5, 0.5)
    network.deconv3.conv2d.weight *= 30
    network.deconv3.conv2d.bias += 120
    return network


def make_pictures(height, width):
    generator = torch.Generator().manual_seed(height * width)
    return torch.randint(0, 256, (2, height, width, 3), dtype=torch.uint8, generator=generator)


def expected_pictures(network, pictures):
    values = network(pictures.permute(0, 3, 1, 2).float())
    height, width = pictures.shape[1:3]
    return to_pictures(values).permute(0, 2, 3, 1)[:, :height, :width]


@pytest.mark.parametrize("size", [(24, 24), (64, 96), (50, 90), (33, 40), (61, 35)])
def test_equals_the_published_layout(network, size):
    pictures = make_pictures(*size)
    made, expected = (
        GpuNetwork(network, CPU, torch.float32)(pictures),
        expected_pictures(network, pictures),
    )
    difference = (made.int() - expected.int()).abs()
    assert difference.max() <= 1
    assert (difference > 0).float().mean() < 0.001
    assert expected.float().std() > 5


def test_lower_precision_is_within_two_levels(network):
    pictures = make_pictures(64, 96)
    made = GpuNetwork(network, CPU, torch.bfloat16)(pictures)
    difference = made.float() - expected_pictures(network, pictures).float()
    assert difference.square().mean().sqrt() < 2


def test_a_picture_does_not_depend_on_its_batch(network):
    pictures = make_pictures(40, 52)
    compute = GpuNetwork(network, CPU, torch.bfloat16)
    assert torch.equal(compute(pictures)[1:], compute(pictures[1:]))


def test_a_uniform_picture_is_stylized_in_float32(network):
    pictures = torch.full((1, 40, 52, 3), 31, dtype=torch.uint8)
    assert is_uniform(pictures[0])
    made = GpuNetwork(network, CPU, torch.bfloat16).stylize_exactly(pictures[0])
    assert torch.equal(made, expected_pictures(network, pictures)[0])


def test_a_picture_with_another_pixel_is_not_uniform():
    picture = torch.full((40, 52, 3), 31, dtype=torch.uint8)
    picture[-1, -1, 2] = 32
    assert not is_uniform(picture)
