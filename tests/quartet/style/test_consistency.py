"""Consistency metrics have the values that known flicker and known motion imply."""

import numpy as np
import pytest
from scipy.ndimage import uniform_filter

from quartet.style.consistency import (
    flicker,
    optical_flow,
    scale_down,
    visibility_mask,
    warp,
    warping_error,
)


@pytest.fixture(scope="module")
def scene():
    """Return a wide picture with structure at several scales and soft light."""
    generator = np.random.default_rng(4)
    layers = [
        uniform_filter(generator.normal(0, 30 * side, (200, 320, 3)), (side, side, 0))
        for side in (4, 9, 25)
    ]
    return np.clip(128 + sum(layers), 0, 255).astype(np.uint8)


def view(scene, left, top=10):
    return scene[top : top + 120, left : left + 180]


def uniform(level, size=(60, 80)):
    return np.full((*size, 3), level, dtype=np.uint8)


def test_flicker_is_the_mean_change_where_the_source_is_still(scene):
    still = view(scene, 20)
    found = flicker((still, still), (uniform(100, (120, 180)), uniform(107, (120, 180))))
    assert (found.stylized, found.source, found.still_share) == (7, 0, 1)


def test_flicker_ignores_moving_pixels():
    before, after, stylized = uniform(50), uniform(50), uniform(100)
    after[:, :40] = 90
    stylized[:, :40], stylized[:, 40:] = 200, 105
    found = flicker((before, after), (uniform(100), stylized))
    # The 3 × 3 mean also marks one column next to the motion as moving.
    assert found.still_share == pytest.approx(39 / 80)
    assert found.stylized == 5


def test_flicker_tolerates_camera_noise(scene):
    generator = np.random.default_rng(0)
    pair = [
        np.clip(view(scene, 20) + generator.normal(0, 1.2, (120, 180, 3)), 0, 255).astype(np.uint8)
        for _ in range(2)
    ]
    found = flicker((pair[0], pair[1]), (pair[0], pair[1]))
    assert found.still_share > 0.95
    assert found.stylized == found.source == pytest.approx(1.2 * 2 / np.sqrt(np.pi), rel=0.15)


def test_change_in_one_channel_counts_as_motion():
    red = uniform(50)
    red[..., 0] = 60
    assert flicker((uniform(50), red), (uniform(0), uniform(0))).still_share == 0


def test_flicker_is_nan_if_few_pixels_are_still():
    after = uniform(150)
    after[:3, :3] = 50
    found = flicker((uniform(50), after), (uniform(1), uniform(2)))
    assert np.isnan([found.stylized, found.source]).all()
    assert 0 < found.still_share < 0.01


def test_scaling_large_pictures_does_not_change_flicker():
    size = (300, 4000)
    found = flicker((uniform(9, size), uniform(9, size)), (uniform(100, size), uniform(112, size)))
    assert found.stylized == 12
    assert scale_down(uniform(9, size), 1280).shape == (96, 1280, 3)
    assert scale_down(uniform(9, (4000, 1)), 256).shape == (256, 1, 3)


def test_optical_flow_recovers_the_shift(scene):
    flow = optical_flow(view(scene, 23, 12), view(scene, 20, 14))
    inner = flow[:, 15:-15, 15:-15]
    assert np.median(inner[0]) == pytest.approx(-2, abs=0.1)
    assert np.median(inner[1]) == pytest.approx(3, abs=0.1)


def test_strokes_moving_with_the_scene_have_low_warping_error(scene):
    source = (view(scene, 20), view(scene, 24))
    stylized = tuple(255 - picture[..., ::-1] for picture in source)
    found = warping_error(source, stylized)
    assert found.stylized == pytest.approx(found.source, rel=0.01)
    assert found.source < 4
    assert found.visible_share > 0.9


def test_strokes_fixed_to_the_screen_have_high_warping_error(scene):
    source = (view(scene, 20), view(scene, 24))
    stuck = view(scene[::-1], 20)
    found = warping_error(source, (stuck, stuck))
    assert found.stylized > 4 * found.source


def test_warping_error_is_in_levels(scene):
    source = (view(scene, 20), view(scene, 24))
    brighter = np.clip(source[1].astype(int) + 20, 0, 255).astype(np.uint8)
    found = warping_error(source, (source[0], brighter))
    assert found.stylized == pytest.approx(np.hypot(20, found.source), abs=1)


def test_static_scene_has_no_warping_error(scene):
    source = (view(scene, 20), view(scene, 20))
    found = warping_error(source, source)
    assert (found.stylized, found.source) == pytest.approx((0, 0), abs=0.1)
    # Lai et al. report squared lengths; convert with the formula of the docstring.
    other = np.clip(view(scene, 20).astype(int) + 5, 0, 255).astype(np.uint8)
    squares = (((other / 255.0 - view(scene, 20) / 255.0) ** 2).sum(axis=2)).mean()
    ours = warping_error(source, (view(scene, 20), other)).stylized
    assert (ours / 255) ** 2 * 3 == pytest.approx(squares, rel=0.01)


def test_visibility_mask_excludes_outside_and_occluded_pixels():
    back = np.zeros((2, 20, 30), dtype=np.float32)
    back[1] = 4
    visible = visibility_mask(back, -back)
    assert visible[:, :26].all()
    assert not visible[:, 26:].any()
    assert not visibility_mask(back, back).any()


def test_disoccluded_pixels_are_excluded(scene):
    before, after = view(scene, 20).copy(), view(scene, 20).copy()
    thing = view(scene[:, ::-1], 60)[:50, :50]
    before[30:80, 40:90], after[30:80, 52:102] = thing, thing
    back, forth = optical_flow(after, before), optical_flow(before, after)
    visible = visibility_mask(back, forth)
    uncovered, afar = visible[30:80, 40:52].mean(), visible[:20].mean()
    assert uncovered < 0.65
    assert afar > 0.95
    squares = (warp(before, back) - after) ** 2
    source = (before, after)
    assert warping_error(source, source).source < 0.75 * np.sqrt(squares.mean())


def test_warping_error_is_nan_after_a_cut(scene):
    other = view(scene[::-1, ::-1], 90)[:, ::-1]
    found = warping_error((view(scene, 20), other), (view(scene, 20), other))
    assert np.isnan([found.stylized, found.source]).all()


@pytest.mark.parametrize("size", [(1, 1), (15, 40), (4, 2000)])
def test_warping_error_is_nan_for_tiny_pictures(size):
    pair = (uniform(10, size), uniform(10, size))
    assert np.isnan(warping_error(pair, pair).stylized)
    assert flicker(pair, pair).stylized == 0
