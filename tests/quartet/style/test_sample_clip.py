"""The committed clip matches its code and covers the cases that the pipeline needs."""

import io

import av
import numpy as np
import pytest

from quartet.style.decode import decode_frames
from quartet.style.probe import plan_video
from quartet.style.sample_clip import make_clip, render_frames
from support import ROOT

COMMITTED = ROOT / "data/01_raw/style/sample.mp4"


@pytest.fixture(scope="module")
def clip():
    return make_clip()


@pytest.fixture(scope="module")
def frames():
    return list(render_frames())


def decode_all(source):
    plan = plan_video(source, 1000)
    return [frame.rgb.astype(float) for frame in decode_frames(source, plan, 0, plan.frames)]


def decode_sound(source):
    with av.open(source) as container:
        return np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)


def test_committed_clip_matches_the_code(clip, frames):
    committed, again = decode_all(COMMITTED), decode_all(io.BytesIO(clip))
    assert len(committed) == len(again) == len(frames) == 100
    for old, new, picture in zip(committed, again, frames, strict=True):
        assert np.abs(old - new).mean() < 1
        # Encoding is lossy, with half the chroma resolution.
        assert np.abs(old - picture).mean() < 7
    old, new = decode_sound(str(COMMITTED)), decode_sound(io.BytesIO(clip))
    assert old.shape == new.shape
    assert np.abs(old - new).max() < 0.01


def test_clip_is_small_with_sound_title_and_licences():
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
