"""The optimised network matches the published layout on any picture size."""

import numpy as np
import pytest
import torch

from quartet.style.inference import InferenceNetwork
from quartet.style.network import StyleNetwork, build_network, network_width, to_pictures
from quartet.style.precision import supports_int8
from quartet.style.quantised import QuantisedNetwork
from support import real_data

needs_int8 = pytest.mark.skipif(not supports_int8(), reason="the CPU has no AVX512-VNNI")
SIZES = [(24, 24), (37, 50), (90, 120)]


def network(width=8, seed=0):
    """Return a network with distinct biases and normalisation, so that each has an effect."""
    torch.manual_seed(seed)
    made = StyleNetwork(width)
    with torch.no_grad():
        for name, value in made.named_parameters():
            if name.endswith("bias"):
                value.add_(0.3 * torch.randn_like(value))
        made.deconv3.conv2d.weight *= 60
        made.deconv3.conv2d.bias += 120
    return made.eval()


def scene(height, width, count=1, seed=0):
    """Return smooth areas, edges and texture, shape (count, h, w, 3)."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    slope = np.stack([rows * 255 / height, columns * 255 / width, rows * 0 + 90], -1)
    slope[height // 3 : height // 2, width // 4 : width // 2] = (240, 20, 60)
    noise = generator.normal(0, 12, (count, height, width, 3)) * (columns > width // 2)[..., None]
    return torch.from_numpy(np.clip(slope + noise, 0, 255).astype(np.uint8))


def reference(made, pictures):
    """Run the published layout in float32, cropped to the pictures' size."""
    with torch.inference_mode():
        stylized = to_pictures(made(pictures.permute(0, 3, 1, 2).float())).permute(0, 2, 3, 1)
    return stylized[:, : pictures.shape[1], : pictures.shape[2]]


def run_optimised(made, pictures, dtype=torch.float32):
    with torch.inference_mode():
        return InferenceNetwork(made, dtype)(pictures)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("count", [1, 3])
def test_float32_matches_the_reference(size, count):
    made, pictures = network(), scene(*size, count)
    difference = (run_optimised(made, pictures).int() - reference(made, pictures).int()).abs()
    assert reference(made, pictures).float().std() > 8  # not a grey picture
    assert (difference <= 1).double().mean() >= 0.999
    assert difference.max() <= 2


DARK = [
    20 + (scene(96, 128).double() * contrast / 255).round().to(torch.uint8) for contrast in (1, 16)
]


@pytest.mark.parametrize("pictures", [*(scene(*size) for size in SIZES), *DARK])
def test_bfloat16_is_within_two_levels(pictures):
    made = network(16)
    difference = (
        run_optimised(made, pictures, torch.bfloat16).float() - reference(made, pictures).float()
    )
    assert difference.square().mean().sqrt() <= 2


def test_pictures_of_a_batch_are_independent():
    made, pictures = network(), scene(40, 56, 3, seed=4)
    together = run_optimised(made, pictures)
    alone = torch.cat([run_optimised(made, pictures[i : i + 1]) for i in range(3)])
    assert (together.int() - alone.int()).abs().max() <= 1


FORMS = {
    "float32": lambda: InferenceNetwork(network(), torch.float32),
    "bfloat16": lambda: InferenceNetwork(network(), torch.bfloat16),
    "int8": lambda: QuantisedNetwork(network()),
}


@pytest.fixture(params=["float32", "bfloat16", pytest.param("int8", marks=needs_int8)])
def create(request):
    """Return a function that creates `network()` in one of the forms for a CPU."""
    return FORMS[request.param]


def test_buffers_do_not_leak_between_calls_and_sizes(create):
    computed = create()
    with torch.inference_mode():
        for pictures in (scene(48, 64, seed=1), scene(37, 51, seed=3), 255 - scene(48, 64)):
            computed(pictures)
        again, alone = (each(scene(48, 64, seed=1)) for each in (computed, create()))
    assert torch.equal(again, alone)


@pytest.mark.parametrize("level", [0, 77, 255])
def test_uniform_frame_does_not_divide_by_zero(level, create):
    flat = torch.full((1, 48, 64, 3), level, dtype=torch.uint8)
    with torch.inference_mode():
        stylized = create()(flat)
    assert (stylized.int() - reference(network(), flat).int()).abs().max() <= 2


@pytest.fixture(scope="module", params=["candy", "mosaic"])
def published(request):
    """Return a published network of width 16 as saved in its file."""
    (file,) = real_data("style/reference_weights").glob(f"{request.param}_*")
    return torch.load(file, weights_only=True)


def test_published_weights_load_with_and_without_running_statistics(published):
    statistics = {
        f"{layer}.{name}": torch.zeros(1)
        for layer in ("in1", "res1.in2")
        for name in ("running_mean", "running_var", "num_batches_tracked")
    }
    pictures = scene(48, 64)
    plain = {name: value for name, value in published.items() if "running" not in name}
    first, again = (reference(build_network(w), pictures) for w in (plain, {**plain, **statistics}))
    assert torch.equal(first, again)
    assert network_width(published) == 16


def test_published_style_on_a_real_frame(published, real_clip):
    import av

    with av.open(str(real_clip)) as container:
        frame = next(container.decode(video=0)).to_ndarray(format="rgb24")[::2, ::2]
    pictures = torch.from_numpy(np.ascontiguousarray(frame))[None]
    made = build_network(published)
    expected = reference(made, pictures)
    difference = (run_optimised(made, pictures).int() - expected.int()).abs()
    assert (difference <= 1).double().mean() >= 0.999
    lower = run_optimised(made, pictures, torch.bfloat16).float() - expected.float()
    assert lower.square().mean().sqrt() <= 2


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda w: w.pop("conv1.conv2d.weight"), "conv1.conv2d.weight: expected shape"),
        (lambda w: w.pop("res3.in1.bias"), r"res3\.in1\.bias: expected \(\d+,\), found no tensor"),
        (
            lambda w: w.update({"res6.in1.bias": torch.zeros(32)}),
            r"res6\.in1\.bias: expected no tensor, found",
        ),
        (
            lambda w: w.update({"conv2.conv2d.bias": torch.zeros(7)}),
            r"expected \(\d+,\), found \(7,\)",
        ),
    ],
)
def test_weights_of_another_architecture_raise(change, complaint):
    weights = dict(network().state_dict())
    change(weights)
    with pytest.raises(ValueError, match=complaint):
        build_network(weights)
