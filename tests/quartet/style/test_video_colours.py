"""Decoding and encoding do not shift colours, whatever tags the source has."""

import av
import numpy as np
import pytest

from quartet.style.assemble import assemble
from quartet.style.conversion import detect_colours
from quartet.style.decode import decode_frames
from quartet.style.encode import encode_segment
from quartet.style.encoding_settings import Encoding
from quartet.style.probe import plan_video
from style.videos import write_video

BEST = Encoding(preset="ultrafast", quality=1)
SAMPLES = [(60, 110, 150), (120, 128, 128), (150, 100, 140), (200, 120, 118), (90, 160, 100)]

# Luma weights of red and blue: BT.709, BT.601, SMPTE 240M, BT.2020.
WEIGHTS = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114), 7: (0.212, 0.087)}
WEIGHTS |= {9: (0.2627, 0.0593)}


def convert_to_rgb(sample, matrix, full_range):
    """Convert Y, U, V to RGB with ITU-T H.273, equations 8-25 to 8-31 and 8-40 to 8-42."""
    red, blue = WEIGHTS[matrix]
    scale = np.array([255, 255, 255] if full_range else [219, 224, 224])
    y, u, v = (np.array(sample) - [0 if full_range else 16, 128, 128]) / scale
    r, b = y + 2 * (1 - red) * v, y + 2 * (1 - blue) * u
    return 255 * np.array([r, (y - red * r - blue * b) / (1 - red - blue), b])


def write_flat(path, matrix, full_range, samples=SAMPLES, pixel_format="yuv420p", size=(32, 32)):
    """Write a lossless video of one colour per frame, given as samples."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=25, width=size[0], height=size[1])
        stream.pix_fmt = pixel_format
        stream.options = {"qp": "0", "preset": "ultrafast"}
        context = stream.codec_context
        context.colorspace, context.color_range = matrix, 2 if full_range else 1
        for number, sample in enumerate(samples):
            frame = av.VideoFrame(*size, pixel_format)
            for plane, value in zip(frame.planes, sample, strict=True):
                plane.update(bytes([value]) * plane.buffer_size)
            frame.colorspace, frame.color_range = matrix, 2 if full_range else 1
            frame.pts = number
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def decode_all(source, plan):
    return [frame.rgb.astype(float) for frame in decode_frames(source, plan, 0, plan.frames)]


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("matrix", WEIGHTS)
def test_flat_colours_survive_decoding_and_encoding(matrix, full_range, tmp_path):
    source = write_flat(tmp_path / "flat.mp4", matrix, full_range)
    plan = plan_video(source, 100)
    first = decode_all(source, plan)
    for rgb, sample in zip(first, SAMPLES, strict=True):
        assert np.abs(rgb - convert_to_rgb(sample, matrix, full_range)).max() <= 1
    segment, target = tmp_path / "segment.mp4", tmp_path / "again.mp4"
    encode_segment(segment, plan, 0, enumerate(rgb.astype(np.uint8) for rgb in first), BEST)
    assemble(source, [segment], plan, target, BEST)
    second_plan = plan_video(target, 100)
    assert second_plan.colours == plan.colours
    for before, after in zip(first, decode_all(target, second_plan), strict=True):
        assert np.abs(before - after).max() <= 2


@pytest.mark.parametrize(("size", "matrix"), [((32, 32), 6), ((1280, 16), 1), ((16, 720), 1)])
def test_untagged_colours_depend_on_size_and_stay_untagged(size, matrix, tmp_path):
    source = write_flat(tmp_path / "flat.mp4", 2, False, size=size)
    plan = plan_video(source, 100)
    assert (plan.colours.matrix, plan.colours.matrix_tag) == (matrix, 2)
    for rgb, sample in zip(decode_all(source, plan), SAMPLES, strict=True):
        assert np.abs(rgb - convert_to_rgb(sample, matrix, False)).max() <= 1


@pytest.mark.parametrize("size", [(96, 64), (1280, 16)])
def test_rgb_and_grey_sources_get_unambiguous_colours(size, tmp_path):
    shown = [
        np.full((size[1], size[0], 3), colour, np.uint8) for colour in ([200, 60, 20], [9] * 3)
    ]
    source = write_video(
        tmp_path / "flat.mkv", codec="ffv1", pixel_format="bgr0", pictures=shown, size=size
    )
    plan = plan_video(source, 100)
    segment = tmp_path / "segment.mp4"
    encode_segment(segment, plan, 0, enumerate(shown), BEST)
    with av.open(str(segment)) as container:
        frame = next(container.decode(video=0))
        assert (frame.colorspace, frame.color_range) == (1 if size[0] > 1000 else 6, 1)
    for before, after in zip(shown, decode_all(segment, plan_video(segment, 100)), strict=True):
        assert np.abs(before - after).max() <= 2


@pytest.mark.parametrize(("stated", "expected"), [(1, 98), (2, 100), (0, 100)])
def test_grey_of_limited_range_is_stretched(stated, expected, tmp_path):
    source = write_video(
        tmp_path / "grey.mkv",
        codec="ffv1",
        pixel_format="gray",
        color_range=stated,
        pictures=[np.full((16, 16, 3), 100, np.uint8)],
        size=(16, 16),
    )
    (rgb,) = decode_all(source, plan_video(source, 10))
    assert np.unique(rgb) == [expected]


def test_colour_tags_are_copied(tmp_path):
    source = write_video(
        tmp_path / "hdr.mkv",
        2,
        codec="libx265",
        pixel_format="yuv420p10le",
        options={"x265-params": "log-level=none"},
        colorspace=9,
        color_primaries=9,
        color_trc=16,
        color_range=1,
    )
    plan, black = plan_video(source, 10), np.zeros((64, 96, 3), np.uint8)
    encode_segment(tmp_path / "segment.mp4", plan, 0, enumerate([black, black]), BEST)
    with av.open(str(tmp_path / "segment.mp4")) as container:
        assert detect_colours(next(container.decode(video=0))) == plan.colours
    colours = plan.colours
    assert (colours.matrix_tag, colours.primaries, colours.transfer) == (9, 9, 16)


def test_unsupported_matrix_is_not_declared(tmp_path):
    source = write_flat(tmp_path / "ycgco.mp4", 8, False)
    colours = plan_video(source, 10).colours
    assert colours.matrix == colours.matrix_tag == 6
