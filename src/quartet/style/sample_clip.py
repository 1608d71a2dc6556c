"""The committed clip: a camera moves over two photographs, to a melody."""

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

from quartet.style.files import written
from quartet.style.pictures import BT709, LIMITED
from quartet.style.video import Picture

Box = tuple[float, float, float, float]
"""Left, top, right and bottom of what the camera sees, pixels of the photograph."""

Sound = NDArray[np.float32]
"""Shape (2, n): left and right, from -1 to 1."""

SIZE = (480, 270)
RATE = 25
SOUND_RATE = 48_000
"""Samples per second."""


@dataclass(frozen=True)
class Shot:
    """One movement of the camera, from rest to rest.

    Attributes:
        photograph: Of scikit-learn's.
        frames: How long it lasts.
        start: What is seen at the beginning.
        end: What is seen at the end.
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
"""Frames at either end of a shot in which the camera stands still."""

_METADATA = {
    "title": "Quartet's sample: a camera over two photographs",
    "copyright": "Photographs: china.jpg by danielbuechele (flickr.com/photos/danielbuechele/"
    "6061409035), flower.jpg by vultilion (flickr.com/photos/vultilion/6056698931), as they come "
    "with scikit-learn, cut and scaled; both CC BY 2.0 (creativecommons.org/licenses/by/2.0). "
    "Melody: Quartet's own, under its licence.",
}

_TUNE = (0, 4, 7, 12, 11, 7, 4, 7, 9, 5, 9, 12, 7, 4, 2, 0)
"""Semitones above the keynote, one note a quarter of a second."""
_NOTE = SOUND_RATE // 4
_KEYNOTE = 261.63
_OVERTONES = (1.0, 0.42, 0.2, 0.09)
_LOUDNESS = 0.22
_FADE = 0.28
"""Seconds in which a note falls to a third."""


def make_clip() -> bytes:
    """An MP4 file of four seconds: 100 frames of 480 × 270 pixels, H.264, and AAC in stereo.

    The bytes are the same on the same machine; another processor may round the sound otherwise.
    """
    file = io.BytesIO()
    with written(file, "mp4", {"fflags": "+bitexact"}) as output:
        output.metadata.update(_METADATA)
        video = _video_track(output)
        sound = output.add_stream("aac", rate=SOUND_RATE, layout="stereo")
        sound.bit_rate = 96_000
        output.start_encoding()
        packets = [*_encoded_pictures(video), *_encoded_sound(sound)]
        for packet in sorted(packets, key=lambda packet: (packet.dts or 0) * packet.time_base):
            output.mux(packet)
    return file.getvalue()


def pictures() -> Iterator[Picture]:
    """The 100 frames of shape (270, 480, 3)."""
    from sklearn.datasets import load_sample_image

    for shot in SHOTS:
        photograph = Image.fromarray(load_sample_image(shot.photograph))
        start, end = np.array(shot.start), np.array(shot.end)
        moving = shot.frames - 1 - 2 * _REST
        for number in range(shot.frames):
            way = min(1, max(0, (number - _REST) / moving))
            # Speeds up and slows down without a jerk: Perlin's fade curve.
            way = way**3 * (way * (6 * way - 15) + 10)
            seen = (start + way * (end - start)).tolist()
            yield np.asarray(photograph.resize(SIZE, Image.Resampling.LANCZOS, tuple(seen)))


def melody() -> Sound:
    """Four seconds of plucked notes, which wander from left to right and back."""
    samples = len(_TUNE) * _NOTE
    sound = np.zeros((2, samples + 4 * _NOTE), dtype=np.float32)
    seconds = np.arange(4 * _NOTE) / SOUND_RATE
    # A note begins within 4 ms, for a click is a note without a beginning.
    envelope = np.exp(-seconds / _FADE) * np.minimum(1, seconds / 0.004)
    for place, semitones in enumerate(_TUNE):
        hertz = _KEYNOTE * 2 ** (semitones / 12)
        waves = [
            strength * np.sin(2 * np.pi * hertz * (overtone + 1) * seconds)
            for overtone, strength in enumerate(_OVERTONES)
        ]
        note = _LOUDNESS * envelope * np.sum(waves, axis=0)
        angle = np.pi / 4 * (1 + 0.7 * np.sin(2 * np.pi * place / len(_TUNE)))
        start = place * _NOTE
        sound[:, start : start + len(note)] += np.outer((np.cos(angle), np.sin(angle)), note)
    fade_out = np.minimum(1, np.arange(samples, 0, -1) / (SOUND_RATE / 5))
    return (sound[:, :samples] * fade_out).astype(np.float32)


def _video_track(output: OutputContainer) -> VideoStream:
    # x264's mbtree reads beyond the end of what it wrote unless the width suits it: with it, the
    # bytes would depend on what else happened in the process.
    options = {"crf": "21", "preset": "medium", "x264-params": "mbtree=0:keyint=50"}
    stream = output.add_stream("libx264", rate=RATE, options=options)
    stream.width, stream.height = SIZE
    stream.pix_fmt = "yuv420p"
    context = stream.codec_context
    context.thread_count = 1
    context.colorspace = context.color_primaries = context.color_trc = BT709
    context.color_range = LIMITED
    return stream


def _encoded_pictures(stream: VideoStream) -> Iterator[Packet[Any]]:
    reformatter = VideoReformatter()
    # All processors shall round alike.
    exactly = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
    for number, picture in enumerate(pictures()):
        frame = reformatter.reformat(
            av.VideoFrame.from_ndarray(picture, format="rgb24"),
            format="yuv420p",
            dst_colorspace=BT709,
            dst_color_range=LIMITED,
            interpolation=exactly,
            threads=1,
        )
        frame.pts, frame.time_base = number, Fraction(1, RATE)
        yield from stream.encode(frame)
    yield from stream.encode(None)


def _encoded_sound(stream: AudioStream) -> Iterator[Packet[Any]]:
    sound = melody()
    size = stream.codec_context.frame_size
    for start in range(0, sound.shape[1], size):
        block = np.ascontiguousarray(sound[:, start : start + size])
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="stereo")
        frame.sample_rate = SOUND_RATE
        frame.pts, frame.time_base = start, Fraction(1, SOUND_RATE)
        yield from stream.encode(frame)
    yield from stream.encode(None)
