"""Figures render for any file name and any amount of data."""

import io
import warnings

import numpy as np
import pytest

from quartet.style.comparison import METRICS, build_table, make_thumbnails
from quartet.style.transfer_figures import (
    draw_consistency,
    draw_contact_sheet,
    draw_stage_times,
    format_label,
)

NAMES = [
    "holiday.mp4",
    "Zoë's “Größe” – où?.mov",
    "costs $5 and $x_{1$ \\frac.mp4",
    "影片 видео 🎬 \udcff\n\t.mkv",
    "x" * 250 + ".mp4",
    "",
]


def renders(figure):
    """Return whether the figure renders without warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.savefig(io.BytesIO(), format="png", dpi=40)
    return True


def thumbnails(caption, size=(90, 160), level=60):
    source = np.full((*size, 3), level, dtype=np.uint8)
    return make_thumbnails(caption, source, 255 - source)


def make_table(pairs):
    return build_table(
        [
            {"frame": 25 * pair, "seconds": pair, **dict.fromkeys(METRICS, pair + 1)}
            for pair in range(pairs)
        ]
    )


def read_images(axis):
    return [np.asarray(image.get_array()) for image in axis.images]


def read_boxes(figure):
    return [axis.get_position() for axis in figure.axes]


def test_sheet_shows_source_above_stylized_with_caption():
    sheet = draw_contact_sheet(
        [thumbnails(f"0:0{n}.00", level=20 * n) for n in range(1, 6)], "a.mp4", "wave"
    )
    assert renders(sheet)
    above, below = sheet.axes[::2], sheet.axes[1::2]
    assert [axis.get_title() for axis in above] == [f"0:0{n}.00" for n in range(1, 6)]
    for number, (upper, lower) in enumerate(zip(above, below, strict=True), start=1):
        assert (read_images(upper)[0] == 20 * number).all()
        assert (read_images(lower)[0] == 255 - 20 * number).all()
        assert upper.get_position().x0 == lower.get_position().x0
        assert upper.get_position().y0 >= lower.get_position().y1
    assert [text.get_text() for text in sheet.texts] == ["a.mp4 in the style wave"]


SIZES = [(90, 160), (160, 90), (20, 400), (400, 12), (1, 1)]


@pytest.mark.parametrize(
    "sizes",
    [*([SIZES[0]] * count for count in (1, 2, 3, 6)), *([size] * 7 for size in SIZES), SIZES],
)
def test_pictures_do_not_overlap(sizes):
    sheet = draw_contact_sheet([thumbnails("a", size) for size in sizes], "a.mp4", "wave")
    assert renders(sheet)
    boxes = read_boxes(sheet)
    assert all(box.x0 >= 0 and box.y0 >= -1e-9 and box.x1 <= 1 and box.y1 < 1 for box in boxes)
    for place, one in enumerate(boxes):
        for other in boxes[:place]:
            apart = one.x0 >= other.x1 or other.x0 >= one.x1
            assert apart or one.y0 >= other.y1 or other.y0 >= one.y1


@pytest.mark.parametrize("name", NAMES)
def test_figures_accept_any_name(name):
    assert renders(draw_contact_sheet([thumbnails(name)], name, name))
    assert renders(draw_consistency(make_table(3), name, name))
    assert renders(draw_stage_times({name or "decode": 1.0}, 10, 1.0))


def test_labels_replace_missing_characters_and_are_shortened():
    assert format_label(NAMES[1]) == NAMES[1]
    assert format_label("影片 1\n.mkv") == "▯▯ 1 .mkv"
    short = format_label(NAMES[4])
    assert len(short) == 60
    assert short.startswith("xxx")
    assert short.endswith("x.mp4")
    assert "…" in short


def test_only_elapsed_time_has_frames_per_second():
    """Work of concurrent workers is not elapsed time: it would halve the network's frames/s."""
    figure = draw_stage_times({"decode": 2.0, "network": 6.0, "assemble": 0.0}, 200, elapsed=7.0)
    assert renders(figure)
    axis = figure.axes[0]
    assert [bar.get_width() for bar in axis.patches] == pytest.approx([10, 30, 0, 35])
    names = [label.get_text() for label in axis.get_yticklabels()]
    assert names == ["decode", "network", "assemble", "elapsed"]
    captions = [text.get_text() for text in axis.texts]
    assert captions == [
        "10.0 ms, 25.0% of the work",
        "30.0 ms, 75.0% of the work",
        "0.0 ms, 0.0% of the work",
        "35.0 ms, 28.6 frames/s",
    ]
    assert "all workers" in axis.get_xlabel()
    assert "200 frames" in axis.get_title()


def test_stages_without_frames_or_work_render():
    assert renders(draw_stage_times({"decode": 0.0}, 0, 0.1))


def test_consistency_shows_metrics_over_time_with_means():
    figure = draw_consistency(make_table(4).assign(source_flicker=0.5), "a.mp4", "wave")
    assert renders(figure)
    upper, lower = figure.axes
    assert [line.get_ydata().tolist() for line in upper.lines] == [[1, 2, 3, 4], [0.5] * 4]
    assert [line.get_xdata().tolist() for line in lower.lines] == [[0, 1, 2, 3]] * 2
    labels = [text.get_text() for text in upper.get_legend().get_texts()]
    assert labels == ["stylized: 2.50", "source: 0.50"]


def test_consistency_without_values_renders():
    gaps = make_table(2).assign(flicker=np.nan, source_flicker=np.nan)
    for table in (gaps, make_table(0), make_table(1)):
        assert renders(draw_consistency(table, "a.mp4", "wave"))
    upper, lower = draw_consistency(gaps, "a.mp4", "wave").axes
    assert [text.get_text() for text in upper.texts] == ["no pair can be measured"]
    assert len(lower.lines) == 2
