"""Smoothing reduces flicker where the source is still, and leaves no trace of motion or cuts."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.ndimage import uniform_filter

from quartet.style.smoothing import Smoother, warm_up_frames

SIZE = (180, 240)


@pytest.fixture
def generator():
    return np.random.default_rng(3)


def smooth_all(frames, strength):
    smoother = Smoother(strength)
    return [smoother.smooth(source, stylized) for source, stylized in frames]


def uniform(level, size=SIZE):
    return np.full((*size, 3), level, dtype=np.uint8)


def noise(generator, middle, spread, size=SIZE):
    return np.clip(generator.normal(middle, spread, (*size, 3)), 0, 255).astype(np.uint8)


def scene(generator, size=SIZE):
    """Return a picture with structure everywhere."""
    rough = uniform_filter(generator.normal(0, 900, (*size, 3)), (5, 5, 0))
    return np.clip(128 + rough, 0, 255).astype(np.uint8)


def change(pictures):
    steps = [np.abs(b.astype(float) - a) for a, b in pairwise(pictures)]
    return float(np.mean(steps))


@pytest.mark.parametrize("strength", [0.5, 0.8])
def test_flicker_falls_as_a_recursive_filter_predicts(generator, strength):
    still = scene(generator)
    stylized = [noise(generator, 128, 12) for _ in range(40)]
    result = smooth_all([(still, picture) for picture in stylized], strength)
    expected = (1 - strength) / np.sqrt(1 + strength)
    assert change(result[15:]) / change(stylized[15:]) == pytest.approx(expected, rel=0.1)
    assert np.mean(result[15:]) == pytest.approx(np.mean(stylized[15:]), abs=0.2)


def test_camera_noise_is_not_motion(generator):
    still = scene(generator).astype(float)
    sources = [np.clip(still + generator.normal(0, 2, still.shape), 0, 255).astype(np.uint8)
               for _ in range(12)]  # fmt: skip
    stylized = [noise(generator, 128, 12) for _ in sources]
    result = smooth_all(zip(sources, stylized, strict=True), 0.8)
    assert change(result) < 0.35 * change(stylized)


def test_cut_leaves_no_ghost(generator):
    sources = [*[scene(generator)] * 6, *[scene(np.random.default_rng(9))] * 3]
    stylized = [*[uniform(220)] * 6, *[noise(generator, 60, 20) for _ in range(3)]]
    result = smooth_all(zip(sources, stylized, strict=True), 0.9)
    unlike = np.abs(result[6].astype(int) - stylized[6]) > 1
    # Blocks that happen to be similar in both scenes may keep a small difference.
    assert unlike.mean() < 0.02
    assert np.abs(result[6].mean() - stylized[6].mean()) < 1


def test_moving_object_leaves_no_trace_and_the_rest_is_smoothed(generator):
    background = scene(generator)
    sources, stylized = [], []
    for number in range(8):
        source, picture = background.copy(), noise(generator, 100, 12)
        left = 20 + 18 * number
        source[60:120, left : left + 40] = (255, 40, 20)
        picture[60:120, left : left + 40] = (10, 250, 10)
        sources.append(source)
        stylized.append(picture)
    last = smooth_all(zip(sources, stylized, strict=True), 0.9)[-1]
    uncovered, object_ = slice(left - 18, left), slice(left + 22, left + 40)
    for moved in (uncovered, object_):
        difference = last[60:120, moved].astype(int) - stylized[-1][60:120, moved]
        assert np.abs(difference).max() <= 1
    assert last[130:].std() < 0.6 * stylized[-1][130:].std()


def test_uniform_sky_moves_with_a_panning_camera(generator):
    wide = np.concatenate([uniform(200, (90, 400)), scene(generator, (90, 400))])
    sources = [wide[:, 6 * number : 6 * number + 240] for number in range(8)]
    strokes = noise(generator, 120, 40, (180, 400))
    stylized = [strokes[:, 6 * number : 6 * number + 240] for number in range(8)]
    last = smooth_all(zip(sources, stylized, strict=True), 0.8)[-1]
    assert np.abs(last.astype(int) - stylized[-1]).max() <= 1


def test_still_uniform_picture_is_smoothed(generator):
    stylized = [noise(generator, 128, 12) for _ in range(10)]
    result = smooth_all([(uniform(30), picture) for picture in stylized], 0.8)
    assert change(result) < 0.3 * change(stylized)


@pytest.mark.parametrize("strength", [0.5, 0.7, 0.8])
def test_segments_join_without_a_visible_step(generator, strength):
    still = scene(generator)
    frames = [(still, noise(generator, 128, 12)) for _ in range(60)]
    complete = smooth_all(frames, strength)
    begin = 50 - warm_up_frames(strength)
    segment = smooth_all(frames[begin:], strength)[50 - begin :]
    unwarmed = smooth_all(frames[50:], strength)
    assert change([complete[49], segment[0]]) < 1.4 * change(complete[40:])
    assert change([complete[49], unwarmed[0]]) > 1.7 * change(complete[40:])


@pytest.mark.parametrize(("strength", "frames"), [(0, 0), (0.5, 1), (0.7, 2), (0.8, 4), (0.95, 19)])
def test_few_frames_warm_up(strength, frames):
    assert warm_up_frames(strength) == frames


@pytest.mark.parametrize("level", [3, 97, 252])
def test_constant_colour_is_reached(level):
    stylized = [uniform(level + 3), *[uniform(level)] * 120]
    result = smooth_all([(uniform(9), picture) for picture in stylized], 0.95)
    assert (result[-1] == level).all()


def test_returned_pictures_are_not_overwritten(generator):
    smoother = Smoother(0.5)
    first = smoother.smooth(uniform(50), noise(generator, 128, 30))
    kept = first.copy()
    smoother.smooth(uniform(50), noise(generator, 128, 30))
    assert np.array_equal(first, kept)


def test_inputs_are_not_changed(generator):
    sources = [scene(generator) for _ in range(3)]
    stylized = [noise(generator, 128, 30) for _ in range(3)]
    before = [picture.copy() for picture in (*sources, *stylized)]
    smooth_all(zip(sources, stylized, strict=True), 0.7)
    assert all(map(np.array_equal, (*sources, *stylized), before))


@pytest.mark.parametrize("size", [(1, 1), (2, 300), (37, 5), (541, 721), (97, 33)])
def test_any_size_can_be_smoothed(generator, size):
    frames = [(uniform(40, size), uniform(level, size)) for level in (100, 200, 100)]
    result = smooth_all(frames, 0.5)
    assert [picture.shape for picture in result] == [(*size, 3)] * 3
    assert [int(np.median(picture)) for picture in result] == [100, 150, 125]
