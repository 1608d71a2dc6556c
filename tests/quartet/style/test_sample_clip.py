"""The committed clip must be what its code makes, and teach the pipeline something."""

import io
from itertools import pairwise

import av
import numpy as np
import pytest

from quartet.style.decode import decode_frames
from quartet.style.probe import plan_video
from quartet.style.sample_clip import SHOTS, make_clip, render_frames, synthesise_melody
from support import ROOT

COMMITTED = ROOT / "data/01_raw/style/sample.mp4"


@pytest.fixture(scope="module")
def made():
    return make_clip()


@pytest.fixture(scope="module")
def drawn():
    return list(render_frames())


def decoded(source):
    plan = plan_video(source, 1000)
    return [frame.rgb.astype(float) for frame in decode_frames(source, plan, 0, plan.frames)]


def sound_of(source):
    with av.open(source) as container:
        return np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)


def test_the_same_code_gives_the_same_bytes(made):
    assert make_clip() == made


def test_the_committed_clip_shows_and_sounds_what_the_code_makes(made, drawn):
    committed, again = decoded(COMMITTED), decoded(io.BytesIO(made))
    assert len(committed) == len(again) == len(drawn) == 100
    for old, new, picture in zip(committed, again, drawn, strict=True):
        assert np.abs(old - new).mean() < 1
        # Lossy, and with half the resolution in colour.
        assert np.abs(old - picture).mean() < 7
    old, new = sound_of(str(COMMITTED)), sound_of(io.BytesIO(made))
    assert old.shape == new.shape
    assert np.abs(old - new).max() < 0.01


def test_it_is_small_and_has_sound_title_and_licences():
    assert COMMITTED.stat().st_size < 600_000
    with av.open(str(COMMITTED)) as container:
        video, sound = container.streams.video[0], container.streams.audio[0]
        assert (video.codec_context.name, video.width, video.height) == ("h264", 480, 270)
        assert (sound.codec_context.name, sound.layout.name, sound.rate) == (
            "aac",
            "stereo",
            48_000,
        )
        assert float(container.duration / av.time_base) == pytest.approx(4)
        assert "sample" in container.metadata["title"]
        for word in ("danielbuechele", "vultilion", "CC BY 2.0", "scikit-learn"):
            assert word in container.metadata["copyright"]


def test_the_sound_is_the_melody_in_both_ears():
    sound, tune = sound_of(str(COMMITTED)), synthesise_melody()
    length = tune.shape[1]
    assert np.abs(sound[:, :length] - tune).std() < 0.02
    assert np.abs(tune).max() < 0.9
    loudness = np.abs(tune).reshape(2, 16, -1).mean(axis=2)
    assert (loudness > 0.01).all()
    assert loudness[0].argmax() != loudness[1].argmax()


def test_the_camera_moves_smoothly_rests_and_cuts_once(drawn):
    changes = [np.abs(after.astype(float) - before).mean() for before, after in pairwise(drawn)]
    cut = SHOTS[0].frames - 1
    assert int(np.argmax(changes)) == cut
    assert changes[cut] > 3 * np.sort(changes)[-2]
    still = [number for number, change in enumerate(changes) if change == 0]
    assert still == [*range(4), *range(51, 55), *range(56, 60), *range(95, 99)]
    moving_frames = [change for number, change in enumerate(changes) if number not in {*still, cut}]
    assert max(abs(after - before) for before, after in pairwise(moving_frames)) < 0.35 * max(
        moving_frames
    )
