"""Every frame of every segment is stylized once, in order, by any number of processes."""

import tracemalloc

import numpy as np
import pytest
import torch

from quartet.style.assemble import assemble
from quartet.style.check import check_video
from quartet.style.decode import decode_frames
from quartet.style.encoding_settings import Encoding
from quartet.style.flow import stylize_segments
from quartet.style.network import StyleNetwork
from quartet.style.probe import plan_video
from quartet.style.stylizer import Platform, Stylizer
from quartet.style.transfer_settings import Stylizing
from style.videos import KEYS, damage, read_number, read_packets, write_video

ENCODING = Encoding(quality=8, preset="ultrafast", threads=1)


class Mirror(Stylizer):
    """Stylizer that flips pictures upside down, so that its work is visible."""

    def stylize(self, picture):
        return picture[::-1]


@pytest.fixture(scope="module")
def mirror():
    weights = {name: value.numpy() for name, value in StyleNetwork(4).state_dict().items()}
    platform = Platform(torch.device("cpu"), torch.float32, 2)
    with Mirror(weights, Stylizing(), platform) as made:
        yield made


def stylize(source, plan, firsts, stylizer, **options):
    kept = {}
    work = stylize_segments(source, plan, firsts, stylizer, ENCODING, kept.__setitem__, **options)
    return kept, work


def frame_numbers(path):
    plan = plan_video(path, 1000)
    return [read_number(frame.rgb[::-1]) for frame in decode_frames(path, plan, 0, plan.frames)]


@pytest.mark.parametrize("ranks", [1, 2, 3, 9])
def test_any_number_of_ranks_gives_the_same_video(tmp_path, mirror, ranks):
    source = write_video(tmp_path / "a.mp4", 40, options=KEYS, sounds=["aac"])
    plan = plan_video(source, 8)
    firsts = [first for first, _ in plan.segments]
    kept = {}
    for rank in range(ranks):
        segments, work = stylize(source, plan, firsts[rank::ranks], mirror)
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
    assert frame_numbers(target) == list(range(40))
    complete, _ = stylize(source, plan, firsts, mirror)
    assert complete == kept


def test_segments_are_saved_as_soon_as_complete(tmp_path, mirror):
    source = write_video(tmp_path / "a.mp4", 40, options=KEYS)
    plan = plan_video(source, 8)
    kept = []

    def save_segment(first, content):
        if len(kept) == 2:
            raise OSError(28, "No space left on device")
        kept.append(first)

    with pytest.raises(OSError, match="No space left"):
        firsts = [first for first, _ in plan.segments]
        stylize_segments(source, plan, firsts, mirror, ENCODING, save_segment)
    assert kept == [0, 8]


def test_undecodable_frame_is_counted_and_repeats_the_previous(tmp_path, mirror):
    source = write_video(tmp_path / "a.mkv", 24, codec="mpeg4", options={"g": "8", "bf": "0"})
    plan = plan_video(source, 8)
    damage(source, read_packets(source)[9])
    _, work = stylize(source, plan, [first for first, _ in plan.segments], mirror)
    assert work.frames == 24
    assert work.repeated + work.damaged >= 1


def test_warm_up_frames_are_not_counted(tmp_path, mirror):
    still = np.full((64, 96, 3), 120, np.uint8)
    source = write_video(tmp_path / "a.mp4", options=KEYS, pictures=[still] * 24)
    plan = plan_video(source, 8)
    kept, work = stylize(source, plan, [16, 8], mirror, smoothing=0.5)
    assert work.frames == 16
    assert work.segments == len(kept) == 2
    alone, _ = stylize(source, plan, [8], mirror, smoothing=0.5)
    assert alone[8] == kept[8]


@pytest.mark.parametrize("ranks", [2, 3])
def test_smoothing_gives_the_same_segments_on_any_number_of_ranks(tmp_path, mirror, ranks):
    generator = np.random.default_rng(0)
    still = generator.integers(0, 250, (64, 96, 3), np.uint8)
    noisy = [still + generator.integers(0, 4, still.shape, np.uint8) for _ in range(40)]
    source = write_video(tmp_path / "a.mp4", options=KEYS, pictures=noisy)
    plan = plan_video(source, 8)
    firsts = [first for first, _ in plan.segments]
    complete, _ = stylize(source, plan, firsts, mirror, smoothing=0.7)
    kept = {}
    for rank in range(ranks):
        kept |= stylize(source, plan, firsts[rank::ranks], mirror, smoothing=0.7)[0]
    assert complete == kept
    assert kept != stylize(source, plan, firsts, mirror)[0]


def test_progress_is_reported_per_frame(tmp_path, mirror):
    source = write_video(tmp_path / "a.mp4", 16, options=KEYS)
    counted = []
    plan = plan_video(source, 8)
    stylize(source, plan, [0, 8], mirror, on_frame=lambda: counted.append(1))
    assert len(counted) == 16


def test_source_changed_during_the_run_raises(tmp_path, mirror):
    source = write_video(tmp_path / "a.mp4", 16, options=KEYS)
    plan = plan_video(source, 8)
    source.write_bytes(b"no video " * 50)
    with pytest.raises(ValueError, match=r"a\.mp4: cannot be read as a video"):
        stylize(source, plan, [0, 8], mirror)


def test_memory_does_not_grow_with_video_length(tmp_path, mirror):
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
