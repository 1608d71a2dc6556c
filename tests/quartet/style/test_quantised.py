"""The 8-bit network gives nearly the pictures of float32, and the same in every process."""

import numpy as np
import pytest
import torch

from quartet.style import native, passes, quantised, selection
from quartet.style import stylizer as stylizers
from quartet.style.inference import InferenceNetwork
from quartet.style.network import build_network
from quartet.style.quantised import QuantisedNetwork
from quartet.style.selection import select_network
from quartet.style.stylizer import Platform, Stylizer, detect_platform
from quartet.style.transfer_settings import Stylizing
from style.test_inference import DARK, SIZES, needs_int8, network, reference, scene
from support import real_data

CPU = torch.device("cpu")
NATIVE = native.load_passes()
needs_compiler = pytest.mark.skipif(NATIVE is None, reason="there is no C++ compiler")


@pytest.fixture(params=[pytest.param("compiled", marks=needs_compiler), "PyTorch"])
def implementation(request, monkeypatch):
    """Use the compiled passes, and their replacement where there is no compiler."""
    library = NATIVE if request.param == "compiled" else None
    monkeypatch.setattr(passes, "load_passes", lambda: library)


def run(made, pictures, blocks=0):
    with torch.inference_mode():
        return QuantisedNetwork(made, blocks)(pictures)


def rms(made, expected):
    return float((made.float() - expected.float()).square().mean().sqrt())


def random_picture(rows, columns, channels, dtype):
    generator = np.random.default_rng(rows * columns)
    values = torch.from_numpy(generator.normal(30, 40, (rows, columns, channels)))
    return (values.clamp(0, 255) if dtype == torch.uint8 else values).to(dtype).contiguous()


@needs_int8
@pytest.mark.parametrize("pictures", [*(scene(*size) for size in SIZES), *DARK])
def test_int8_is_within_two_and_a_half_levels(pictures, implementation):
    made = network(16)
    assert rms(run(made, pictures), reference(made, pictures)) <= 2.5


@needs_int8
@pytest.mark.parametrize("width", [4, 12, 32])
def test_any_width_is_supported(width, implementation):
    made, pictures = network(width), scene(49, 70)
    assert rms(run(made, pictures), reference(made, pictures)) <= 3


@needs_int8
def test_a_channel_that_is_positive_everywhere_keeps_the_colours(implementation):
    """No normalisation follows the last convolution, so it must not lack a constant."""
    made, pictures = network(16), scene(49, 70)
    with torch.no_grad():
        made.in5.bias[0] = 10
    assert rms(run(made, pictures), reference(made, pictures)) <= 2.5


@needs_int8
@pytest.mark.parametrize("style", ["candy", "mosaic"])
def test_published_style_on_a_real_frame(style, real_clip):
    import av

    (file,) = real_data("style/reference_weights").glob(f"{style}_*")
    made = build_network(torch.load(file, weights_only=True))
    with av.open(str(real_clip)) as container:
        frame = next(container.decode(video=0)).to_ndarray(format="rgb24")[::2, ::2]
    pictures = torch.from_numpy(np.ascontiguousarray(frame))[None]
    expected = reference(made, pictures)
    assert rms(run(made, pictures), expected) <= 2.5
    with torch.inference_mode():
        assert rms(select_network(made)(pictures), expected) <= 2


@needs_int8
def test_blocks_in_bfloat16_are_more_accurate():
    made, pictures = network(16), scene(96, 128)
    expected = reference(made, pictures)
    errors = [rms(run(made, pictures, blocks), expected) for blocks in (0, 5)]
    assert errors[1] < errors[0]


@needs_int8
def test_result_is_the_same_for_any_number_of_threads(implementation):
    weights = {name: value.numpy() for name, value in network().state_dict().items()}
    given = list(scene(60, 71, 7, seed=5).numpy())

    def stylize(workers):
        settings = Stylizing(precision="int8")
        with Stylizer(weights, settings, Platform(CPU, torch.int8, workers)) as made:
            return [picture for _, picture in made.stream(enumerate(given))]

    assert np.array_equal(stylize(1), stylize(2))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.bfloat16, torch.float32])
@pytest.mark.parametrize(("phases", "channels"), [(1, 3), (1, 24), (2, 17)])
def test_moments_are_those_of_the_picture(dtype, phases, channels, implementation):
    x = random_picture(12, 13, channels * phases**2, dtype)
    found = passes.compute_moments(x, phases)
    parts = [
        part.reshape(-1, channels) for part, _, _ in passes._split_phases(x, phases, phases - 1)
    ]
    values = torch.cat(parts).double()
    torch.testing.assert_close(found.mean.double(), values.mean(0), atol=1e-4, rtol=1e-5)
    variance = values.var(0, correction=0)
    torch.testing.assert_close(found.variance.double(), variance, atol=1e-3, rtol=1e-5)
    assert torch.equal(found.low.double(), values.amin(0))
    assert torch.equal(found.high.double(), values.amax(0))


@needs_compiler
@pytest.mark.parametrize("source", [torch.uint8, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("target", [torch.uint8, torch.bfloat16, torch.float32])
@pytest.mark.parametrize(
    ("phases", "shift", "channels", "padding", "reflect"),
    [(1, 0, 3, 4, True), (1, 0, 40, 1, False), (2, 1, 16, 4, True), (2, 0, 6, 1, True)],
)
def test_compiled_passes_agree_with_pytorch(
    source, target, phases, shift, channels, padding, reflect, monkeypatch
):
    x = random_picture(11, 14, channels * phases**2, source)
    scale, offset = torch.linspace(0.5, 2, channels), torch.linspace(-20, 20, channels)
    minimum = torch.linspace(-10, 10, channels)
    height, width = ((side - shift) * phases + 2 * padding for side in x.shape[:2])
    made = []
    for library in (NATIVE, None):
        monkeypatch.setattr(passes, "load_passes", lambda library=library: library)
        out = torch.full((height, width + 3, channels), 7).to(target)[:, :width]
        passes.scale_and_pad(
            x,
            scale,
            offset,
            out,
            minimum=minimum,
            padding=padding,
            reflect=reflect,
            phases=phases,
            shift=shift,
        )
        made.append(out.clone())
    assert made[0].double().std() > 1
    assert torch.equal(made[0], made[1])


def test_weights_are_off_by_half_a_unit_at_most_in_each_partial_sum():
    weight = torch.randn(6, 5, 4, 3, generator=torch.Generator().manual_seed(0))
    rounded, unit = quantised._quantise(quantised._to_serpentine(weight), 4)
    error = rounded.double() - weight / unit[:, None, None, None]
    assert rounded.abs().max() <= 127
    assert error.abs().max() < 1
    path = torch.cat([row.flip(2) if i % 2 else row for i, row in enumerate(error.unbind(2))], 2)
    assert path.cumsum(2).abs().max() <= 0.5 + 1e-4


@needs_int8
def test_automatic_precision_keeps_to_the_error(monkeypatch):
    made = network(16)
    for limit, expected in ((255.0, QuantisedNetwork), (1e-3, InferenceNetwork)):
        monkeypatch.setattr(selection, "MAX_ERROR", limit)
        assert isinstance(select_network(made), expected)
    monkeypatch.setattr(selection, "MAX_ERROR", 255.0)
    weights = {name: value.numpy() for name, value in made.state_dict().items()}
    platform = Platform(CPU, torch.int8, workers=1)
    assert Stylizer(weights, Stylizing(), platform).describe()["precision"] == "int8"
    monkeypatch.setattr(selection, "MAX_ERROR", 1e-3)
    found = Stylizer(weights, Stylizing(), platform).describe()["precision"]
    assert found in {"bfloat16", "float32"}


def test_automatic_precision_needs_vnni_and_a_compiler(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    for integers, library, expected in (
        (True, object(), torch.int8),
        (True, None, torch.bfloat16),
        (False, object(), torch.bfloat16),
    ):
        monkeypatch.setattr(stylizers, "supports_int8", lambda integers=integers: integers)
        monkeypatch.setattr(stylizers, "load_passes", lambda library=library: library)
        assert detect_platform(Stylizing()).dtype == expected


def test_int8_on_an_unsupported_machine_raises(monkeypatch):
    monkeypatch.setattr(stylizers, "supports_int8", lambda: False)
    with pytest.raises(ValueError, match="int8 needs a CPU with AVX512-VNNI"):
        detect_platform(Stylizing(precision="int8"))


@pytest.fixture
def unbuilt(tmp_path, monkeypatch):
    """Return a copy of the source in a folder of its own, without a library."""
    source = tmp_path / "passes.cpp"
    source.write_bytes(native._SOURCE.read_bytes())
    monkeypatch.setattr(native, "_SOURCE", source)
    native.load_passes.cache_clear()
    yield source
    native.load_passes.cache_clear()


@needs_compiler
def test_library_is_built_once(unbuilt, monkeypatch):
    assert native.load_passes() is not None
    assert len(list((unbuilt.parent / "__pycache__").iterdir())) == 1
    native.load_passes.cache_clear()
    monkeypatch.setattr(native, "_build", None)
    assert native.load_passes() is not None


@needs_compiler
def test_source_in_a_read_only_folder_is_built(unbuilt):
    (unbuilt.parent / "__pycache__").write_text("not a folder")
    assert native.load_passes() is not None


def test_without_a_working_compiler_pytorch_is_used(unbuilt, monkeypatch, caplog):
    monkeypatch.setattr(native.shutil, "which", lambda name: None)
    assert native.load_passes() is None
    native.load_passes.cache_clear()
    monkeypatch.setattr(native.shutil, "which", lambda name: "/bin/false")
    assert native.load_passes() is None
    assert "slower PyTorch operations replace" in caplog.text


@needs_int8
def test_pictures_of_many_sizes_need_the_memory_of_one():
    computed = QuantisedNetwork(network(4))
    with torch.inference_mode():
        computed(scene(40, 48))
        expected = sum(each.numel() for each in computed._buffers.values())
        for size in range(41, 49):
            computed(scene(size, size))
        computed(scene(40, 48))
    assert sum(each.numel() for each in computed._buffers.values()) == expected


@needs_compiler
def test_damaged_library_is_built_again(unbuilt):
    assert native.load_passes() is not None
    (library,) = (unbuilt.parent / "__pycache__").iterdir()
    content = library.read_bytes()
    library.unlink()  # it is mapped into this process
    library.write_bytes(content[:100])
    native.load_passes.cache_clear()
    assert native.load_passes() is not None
    assert library.read_bytes() == content


@needs_int8
@needs_compiler
def test_threads_of_a_process_do_not_each_build_the_library(unbuilt, monkeypatch):
    weights = {name: value.numpy() for name, value in network(4).state_dict().items()}
    built, build = [], native._build
    monkeypatch.setattr(native, "_build", lambda *given: built.append(given) or build(*given))
    platform = Platform(CPU, torch.int8, workers=4)
    with Stylizer(weights, Stylizing(precision="int8"), platform) as made:
        list(made.stream(enumerate(scene(24, 24, 8).numpy())))
    assert len(built) == 1
