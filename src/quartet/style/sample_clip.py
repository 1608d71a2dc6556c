"""Render the committed sample clip: a camera moves over two photographs, with a melody."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from av.video.reformatter import Interpolation, VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray
from PIL import Image

from quartet.style.conversion import BT709, LIMITED
from quartet.style.files import open_output
from quartet.style.video import Picture

Box = tuple[float, float, float, float]
"""Left, top, right and bottom of the visible part, pixels of the photograph."""

Sound = NDArray[np.float32]
"""Shape (2, n): left and right channel, from -1 to 1."""

SIZE = (480, 270)
RATE = 25
SOUND_RATE = 48_000
"""Samples per second."""


@dataclass(frozen=True)
class Shot:
    """Camera movement from rest to rest.

    Attributes:
        photograph: File name of a photograph of scikit-learn.
        frames: Number of frames.
        start: Visible part in the first frame.
        end: Visible part in the last frame.
    """

    photograph: str
    frames: int
    start: Box
    end: Box


SHOTS = (
    Shot("china.jpg", 56, (208, 154, 632, 392.5), (0, 14, 576, 338)),
    Shot("flower.jpg", 44, (70, 122, 358, 284), (8, 36, 632, 387)),
)

_REST = 4
"""Frames at either end of a shot in which the camera rests."""

_METADATA = {
    "title": "Quartet's sample: a camera over two photographs",
    "copyright": "Photographs: china.jpg by danielbuechele (flickr.com/photos/danielbuechele/"
    "6061409035), flower.jpg by vultilion (flickr.com/photos/vultilion/6056698931), as they come "
    "with scikit-learn, cut and scaled; both CC BY 2.0 (creativecommons.org/licenses/by/2.0). "
    "Melody: Quartet's own, under its licence.",
}

_MELODY = (0, 4, 7, 12, 11, 7, 4, 7, 9, 5, 9, 12, 7, 4, 2, 0)
"""Semitones above the keynote, one note per quarter second."""
_NOTE = SOUND_RATE // 4
"""Samples of a quarter second."""
_KEYNOTE = 261.63
"""Middle C, hertz."""
_OVERTONES = (1.0, 0.42, 0.2, 0.09)
"""Amplitudes of the fundamental and the overtones of a note, relative to `_LOUDNESS`."""
_LOUDNESS = 0.22
_FADE = 0.28
"""Seconds in which a note decays to 1/e."""


def make_clip() -> bytes:
    """Return an MP4 file of four seconds: 100 frames of 480 × 270, H.264, and stereo AAC.

    The bytes are reproducible on one machine; other CPUs may round the audio differently.
    """
    file = io.BytesIO()
    with open_output(file, "mp4", {"fflags": "+bitexact"}) as output:
        output.metadata.update(_METADATA)
        video = _add_video_stream(output)
        sound = output.add_stream("aac", rate=SOUND_RATE, layout="stereo")
        sound.bit_rate = 96_000
        output.start_encoding()
        packets = [*_encode_video(video), *_encode_audio(sound)]
        for packet in sorted(packets, key=lambda packet: (packet.dts or 0) * packet.time_base):
            output.mux(packet)
    return file.getvalue()


def render_frames() -> Iterator[Picture]:
    """Yield the 100 frames, each of shape (270, 480, 3)."""
    from sklearn.datasets import load_sample_image

    for shot in SHOTS:
        photograph = Image.fromarray(load_sample_image(shot.photograph))
        start, end = np.array(shot.start), np.array(shot.end)
        moving_frames = shot.frames - 1 - 2 * _REST
        for index in range(shot.frames):
            progress = min(1, max(0, (index - _REST) / moving_frames))
            # Perlin's fade curve: smooth acceleration and deceleration.
            progress = progress**3 * (progress * (6 * progress - 15) + 10)
            box = (start + progress * (end - start)).tolist()
            yield np.asarray(photograph.resize(SIZE, Image.Resampling.LANCZOS, tuple(box)))


def synthesise_melody() -> Sound:
    """Return four seconds of plucked notes that pan from left to right and back."""
    samples = len(_MELODY) * _NOTE
    sound = np.zeros((2, samples + 4 * _NOTE), dtype=np.float32)
    seconds = np.arange(4 * _NOTE) / SOUND_RATE
    # An attack of 4 ms avoids clicks.
    envelope = np.exp(-seconds / _FADE) * np.minimum(1, seconds / 0.004)
    for index, semitones in enumerate(_MELODY):
        hertz = _KEYNOTE * 2 ** (semitones / 12)
        waves = [
            strength * np.sin(2 * np.pi * hertz * (overtone + 1) * seconds)
            for overtone, strength in enumerate(_OVERTONES)
        ]
        note = _LOUDNESS * envelope * np.sum(waves, axis=0)
        angle = np.pi / 4 * (1 + 0.7 * np.sin(2 * np.pi * index / len(_MELODY)))
        start = index * _NOTE
        sound[:, start : start + len(note)] += np.outer((np.cos(angle), np.sin(angle)), note)
    fade_out = np.minimum(1, np.arange(samples, 0, -1) / (SOUND_RATE / 5))
    return (sound[:, :samples] * fade_out).astype(np.float32)


def _add_video_stream(output: OutputContainer) -> VideoStream:
    # At some widths, x264's mbtree reads uninitialised memory, so the bytes would not be
    # reproducible.
    options = {"crf": "21", "preset": "medium", "x264-params": "mbtree=0:keyint=50"}
    stream = output.add_stream("libx264", rate=RATE, options=options)
    stream.width, stream.height = SIZE
    stream.pix_fmt = "yuv420p"
    context = stream.codec_context
    context.thread_count = 1
    context.colorspace = context.color_primaries = context.color_trc = BT709
    context.color_range = LIMITED
    return stream


def _encode_video(stream: VideoStream) -> Iterator[Packet[Any]]:
    reformatter = VideoReformatter()
    # Round in the same way on all CPUs.
    exactly = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
    for index, picture in enumerate(render_frames()):
        frame = reformatter.reformat(
            av.VideoFrame.from_ndarray(picture, format="rgb24"),
            format="yuv420p",
            dst_colorspace=BT709,
            dst_color_range=LIMITED,
            interpolation=exactly,
            threads=1,
        )
        frame.pts, frame.time_base = index, Fraction(1, RATE)
        yield from stream.encode(frame)
    yield from stream.encode(None)


def _encode_audio(stream: AudioStream) -> Iterator[Packet[Any]]:
    sound = synthesise_melody()
    size = stream.codec_context.frame_size
    for start in range(0, sound.shape[1], size):
        block = np.ascontiguousarray(sound[:, start : start + size])
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="stereo")
        frame.sample_rate = SOUND_RATE
        frame.pts, frame.time_base = start, Fraction(1, SOUND_RATE)
        yield from stream.encode(frame)
    yield from stream.encode(None)
