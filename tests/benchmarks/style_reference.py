"""The reference recipe of the style scenario, with today's libraries.

Frames go to JPEG files, are stylized one by one in float32, channels first, go to JPEG files
again, and become an H.264 file at 30 frames/s, to which the sound is added: as the three steps of
Azure/Batch-Scoring-Deep-Learning-Models-With-AML do with FFmpeg's and Pillow's defaults.
"""

from __future__ import annotations

import time
from pathlib import Path

import av
import numpy as np
import torch
from PIL import Image

from quartet.style.network import StyleNetwork

QUALITY = 75
"""Pillow's default."""


def run(source: Path, folder: Path, network: StyleNetwork, frames: int) -> dict[str, float]:
    """Seconds of each step for the first frames of a video, and of the network alone."""
    seconds = {}
    begun = time.perf_counter()
    with av.open(str(source)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number == frames:
                break
            frame.to_image().save(folder / f"{number:05d}_in.jpg", quality=QUALITY)
    seconds["extract"] = time.perf_counter() - begun
    begun, alone = time.perf_counter(), 0.0
    for number in range(frames):
        with Image.open(folder / f"{number:05d}_in.jpg") as picture:
            levels = np.asarray(picture, dtype=np.float32).transpose(2, 0, 1)
        batch = torch.from_numpy(np.ascontiguousarray(levels))[None]
        started = time.perf_counter()
        with torch.no_grad():
            stylized = network(batch)
        alone += time.perf_counter() - started
        picture = stylized[0].clamp(0, 255).numpy().transpose(1, 2, 0).astype("uint8")
        Image.fromarray(picture).save(folder / f"{number:05d}_out.jpg", quality=QUALITY)
    seconds["stylize"] = time.perf_counter() - begun
    begun = time.perf_counter()
    _join(source, folder, frames)
    seconds["join"] = time.perf_counter() - begun
    seconds["network"] = alone
    return seconds


def _join(source: Path, folder: Path, frames: int) -> None:
    with av.open(str(source)) as original, av.open(str(folder / "out.mp4"), "w") as output:
        sound = original.streams.audio[0]
        video = output.add_stream("libx264", rate=30, options={"crf": "20", "profile": "high"})
        with Image.open(folder / "00000_out.jpg") as picture:
            video.width, video.height = picture.size
        video.pix_fmt = "yuv420p"
        copied = output.add_stream_from_template(sound)
        for number in range(frames):
            with Image.open(folder / f"{number:05d}_out.jpg") as picture:
                output.mux(video.encode(av.VideoFrame.from_image(picture)))
        output.mux(video.encode(None))
        for packet in original.demux(sound):
            if packet.dts is not None:
                packet.stream = copied
                output.mux(packet)
