"""A stream is stylized in order, with the same result for any number of threads."""

from itertools import chain, repeat

import numpy as np
import psutil
import pytest
import torch

from quartet.style import stylizer as stylizers
from quartet.style.network import StyleNetwork
from quartet.style.stylizer import Platform, Stylizer, detect_platform
from quartet.style.transfer_settings import Stylizing

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def weights():
    torch.manual_seed(0)
    made = StyleNetwork(4)
    with torch.no_grad():
        made.deconv3.conv2d.weight *= 30
        made.deconv3.conv2d.bias += 120
    return {name: value.numpy() for name, value in made.state_dict().items()}


def pictures(count, size=(32, 40)):
    generator = np.random.default_rng(1)
    return [generator.integers(0, 256, (*size, 3), dtype=np.uint8) for _ in range(count)]


def stylize(weights, given, workers=1):
    with Stylizer(weights, Stylizing(), Platform(CPU, torch.float32, workers)) as made:
        return list(made.stream(enumerate(given)))


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_result_is_independent_of_threads(weights, workers):
    given = [*pictures(7), *pictures(4, (48, 24)), *pictures(3)]
    alone = stylize(weights, given)
    found = stylize(weights, given, workers)
    assert [key for key, _ in found] == list(range(len(given)))
    for (_, made), (_, expected) in zip(found, alone, strict=True):
        assert np.array_equal(made, expected)


def test_stream_reads_ahead_only_as_far_as_needed(weights):
    read = []

    def endless():
        number = 0
        while True:
            read.append(number)
            yield number, pictures(1)[0]
            number += 1

    with Stylizer(weights, Stylizing(), Platform(CPU, torch.float32, 2)) as made:
        stream = made.stream(endless())
        for _ in range(20):
            next(stream)
        assert len(read) <= 20 + 2 * 2 + 1


def test_tiny_pictures_keep_their_size(weights):
    for size in ((1, 1), (3, 50), (23, 24)):
        ((_, made),) = stylize(weights, pictures(1, size))
        assert made.shape == (*size, 3)


def test_picture_that_does_not_fit_into_memory_raises(weights, monkeypatch):
    monkeypatch.setattr(stylizers, "_free_memory", lambda where: 2**20)
    with pytest.raises(ValueError, match=r"of 900×300 pixels .* GiB, and 0\.0 GiB are free"):
        stylize(weights, pictures(1, (300, 900)))


GIB = 2**30


@pytest.mark.parametrize("workers", [1, 3])
def test_running_video_completes_when_memory_shrinks(weights, monkeypatch, workers):
    free = chain([GIB], repeat(0))
    monkeypatch.setattr(stylizers, "_free_memory", lambda where: next(free))
    assert len(stylize(weights, pictures(9), workers)) == 9


def test_memory_is_checked_per_frame_size(weights, monkeypatch):
    free = chain([GIB], repeat(0))
    monkeypatch.setattr(stylizers, "_free_memory", lambda where: next(free))
    with pytest.raises(ValueError, match="of 80×64 pixels"):
        stylize(weights, [*pictures(3), *pictures(1, (64, 80))])


def test_error_in_a_thread_reaches_the_caller(weights, monkeypatch):
    def fail(*_):
        raise RuntimeError("no such kernel")

    monkeypatch.setattr(stylizers.InferenceNetwork, "__call__", fail)
    with pytest.raises(RuntimeError, match="no such kernel"):
        stylize(weights, pictures(4), workers=2)


def test_thread_count_of_the_caller_is_restored(weights):
    before = torch.get_num_threads()
    stylize(weights, pictures(1))
    assert torch.get_num_threads() == before


def test_precision_follows_cpu_features(monkeypatch):
    monkeypatch.setattr(stylizers, "supports_int8", lambda: False)
    for feature, expected in (
        ("avx512_bf16", torch.bfloat16),
        ("amx_tile", torch.bfloat16),
        ("avx2", torch.float32),
    ):
        features = {feature: True}
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda features=features: features)
        assert detect_platform(Stylizing()).dtype == expected
        assert detect_platform(Stylizing(precision="float32")).dtype == torch.float32


def test_ranks_share_the_cores_of_their_machine(monkeypatch):
    monkeypatch.setattr(stylizers.os, "sched_getaffinity", lambda process: set(range(8)))
    assert detect_platform(Stylizing()).workers == 8
    assert detect_platform(Stylizing(), ranks=3).workers == 2
    assert detect_platform(Stylizing(), ranks=20).workers == 1
    assert detect_platform(Stylizing(workers=5), ranks=3).workers == 5


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_float16_without_a_gpu_raises():
    with pytest.raises(ValueError, match="float16 needs a GPU"):
        detect_platform(Stylizing(precision="float16"))


def test_a_system_without_linux_calls_counts_its_cores_and_memory(monkeypatch):
    """As macOS, which has neither `sched_getaffinity` nor /proc."""
    monkeypatch.delattr(stylizers.os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(stylizers.os, "cpu_count", lambda: 6)
    assert detect_platform(Stylizing(precision="float32")).workers == 6
    assert 0 < stylizers._free_memory(torch.device("cpu")) <= psutil.virtual_memory().total
