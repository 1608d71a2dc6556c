"""Every frame of every segment, once, in its place, whoever stylizes it."""

import itertools
import tracemalloc

import numpy as np
import pytest
import torch

from quartet.style.assemble import assemble
from quartet.style.check import check_video
from quartet.style.decode import decode_frames
from quartet.style.encoding_settings import Encoding
from quartet.style.flow import _prefetch, stylize_segments
from quartet.style.network import StyleNetwork
from quartet.style.probe import plan_video
from quartet.style.stylizer import Platform, Stylizer
from quartet.style.transfer_settings import Stylizing
from style.videos import KEYS, number_in, write_video

ENCODING = Encoding(quality=8, preset="ultrafast", threads=1)


class Mirror(Stylizer):
    """Turns pictures upside down, so that one sees which is which."""

    def stylize(self, pictures):
        return np.stack([picture[::-1] for picture in pictures])


@pytest.fixture(scope="module")
def mirror():
    weights = {name: value.numpy() for name, value in StyleNetwork(4).state_dict().items()}
    platform = Platform(torch.device("cpu"), torch.float32, False, 2)
    with Mirror(weights, Stylizing(), platform) as made:
        yield made


def stylized(source, plan, firsts, stylizer, **options):
    kept = {}
    work = stylize_segments(source, plan, firsts, stylizer, ENCODING, kept.__setitem__, **options)
    return kept, work


def numbers(path):
    plan = plan_video(path, 1000)
    return [number_in(frame.rgb[::-1]) for frame in decode_frames(path, plan, 0, plan.frames)]


@pytest.mark.parametrize("ranks", [1, 2, 3, 9])
def test_any_number_of_ranks_gives_the_same_video(tmp_path, mirror, ranks):
    source = write_video(tmp_path / "a.mp4", 40, options=KEYS, sounds=["aac"])
    plan = plan_video(source, 8)
    firsts = [first for first, _ in plan.segments]
    kept = {}
    for rank in range(ranks):
        segments, work = stylized(source, plan, firsts[rank::ranks], mirror)
        assert not kept.keys() & segments.keys()
        assert work.segments == len(segments)
        assert work.frames == sum(plan.end_of_segment(first) - first for first in segments)
        kept |= segments
    assert sorted(kept) == firsts
    for first, content in kept.items():
        (tmp_path / f"{first}.mp4").write_bytes(content)
    target = tmp_path / "out.mp4"
    assemble(source, [tmp_path / f"{first}.mp4" for first in firsts], plan, target, ENCODING)
    check_video(target, plan)
    assert numbers(target) == list(range(40))
    whole, _ = stylized(source, plan, firsts, mirror)
    assert whole == kept


def test_segments_are_kept_as_soon_as_they_are_whole(tmp_path, mirror):
    source = write_video(tmp_path / "a.mp4", 40, options=KEYS)
    plan = plan_video(source, 8)
    kept = []

    def keep(first, content):
        if len(kept) == 2:
            raise OSError(28, "No space left on device")
        kept.append(first)

    with pytest.raises(OSError, match="No space left"):
        firsts = [first for first, _ in plan.segments]
        stylize_segments(source, plan, firsts, mirror, ENCODING, keep)
    assert kept == [0, 8]


def test_a_frame_that_cannot_be_decoded_is_counted_and_the_one_before_shown(tmp_path, mirror):
    from style.videos import packets_of, spoil

    source = write_video(tmp_path / "a.mkv", 24, codec="mpeg4", options={"g": "8", "bf": "0"})
    plan = plan_video(source, 8)
    spoil(source, packets_of(source)[9])
    _, work = stylized(source, plan, [first for first, _ in plan.segments], mirror)
    assert work.frames == 24
    assert work.repeated + work.damaged >= 1


def test_smoothing_decodes_what_is_before_a_segment_but_does_not_count_it(tmp_path, mirror):
    still = np.full((64, 96, 3), 120, np.uint8)
    source = write_video(tmp_path / "a.mp4", options=KEYS, pictures=[still] * 24)
    plan = plan_video(source, 8)
    kept, work = stylized(source, plan, [16, 8], mirror, smoothing=0.5)
    assert work.frames == 16
    assert work.segments == len(kept) == 2
    alone, _ = stylized(source, plan, [8], mirror, smoothing=0.5)
    assert alone[8] == kept[8]


def test_progress_is_told_frame_by_frame(tmp_path, mirror):
    source = write_video(tmp_path / "a.mp4", 16, options=KEYS)
    plan, told = plan_video(source, 8), []
    stylized(source, plan, [0, 8], mirror, on_frames=told.append)
    assert sum(told) == 16


def test_a_source_that_changes_under_way_is_an_error_and_not_a_shorter_video(tmp_path, mirror):
    source = write_video(tmp_path / "a.mp4", 16, options=KEYS)
    plan = plan_video(source, 8)
    source.write_bytes(b"no video " * 50)
    with pytest.raises(ValueError, match=r"a\.mp4: cannot be read as a video"):
        stylized(source, plan, [0, 8], mirror)


def test_memory_does_not_grow_with_the_length_of_the_video(tmp_path, mirror):
    peaks = []
    for frames in (32, 160):
        source = write_video(tmp_path / f"{frames}.mp4", frames, options=KEYS)
        plan = plan_video(source, 8)
        tracemalloc.start()
        stylize_segments(
            source,
            plan,
            [first for first, _ in plan.segments],
            mirror,
            ENCODING,
            lambda first, content: None,
        )
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    frame = 96 * 64 * 3
    assert peaks[1] - peaks[0] < 4 * frame  # of 128 frames more


def test_what_is_made_ahead_is_bounded_and_stops_with_its_consumer():
    made = []

    def endless():
        for number in itertools.count():
            made.append(number)
            yield number

    with _prefetch(endless(), 3) as items:
        assert [next(items) for _ in range(5)] == list(range(5))
        assert len(made) <= 5 + 3 + 1
    stopped_at = len(made)
    assert len(made) == stopped_at <= 10


def test_an_error_ahead_is_raised_after_the_items_before_it():
    def failing():
        yield 1
        raise ValueError("frame 1 is damaged")

    with _prefetch(failing(), 3) as items:
        assert next(items) == 1
        with pytest.raises(ValueError, match="frame 1 is damaged"):
            next(items)
