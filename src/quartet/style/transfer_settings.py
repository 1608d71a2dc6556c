"""Parameters of style transfer."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from quartet.style.settings import Settings


class StyleTransfer(Settings):
    """Parameters for processing a video or pictures."""

    segment_frames: int = Field(
        64,
        ge=1,
        le=10_000,
        description="Approximate frames per segment: a killed run loses one segment per rank. Each "
        "segment starts with a key frame, so shorter ones give a larger file.",
    )
    accept_truncated: bool = Field(
        False,
        description="Whether to stylize the existing part of a truncated video; otherwise it is an "
        "error.",
    )
    smoothing: float = Field(
        0.7,
        ge=0,
        le=0.95,
        description="Weight of the previous frame where the source is still, against flicker. 0.7 "
        "removes about half of the flicker of a camera at rest, for 5 % of the time. 0: frames are "
        "independent. From 0.8 on, small motions leave traces.",
    )
    comparison_pairs: int = Field(
        12, ge=1, le=1000, description="Number of frame pairs on which flicker is measured."
    )


class Stylizing(Settings):
    """Parameters of the inference with the style network."""

    precision: Literal["auto", "float32", "bfloat16", "float16", "int8"] = Field(
        "auto",
        description="Data type of the network. `int8` is the fastest on CPUs with AVX512-VNNI: 1 "
        "to 2.5 levels from float32, root mean square, up to 5 on some photographs. `auto`: "
        "float16 on a GPU. On a CPU, int8 with as many layers in bfloat16 as two photographs need "
        "to stay within 2 levels; without VNNI, or with neither a C++ compiler nor the image of "
        "`Dockerfile`, bfloat16 if the CPU multiplies it natively, else float32.",
    )
    workers: int = Field(
        0,
        ge=0,
        le=256,
        description="Threads, each with its own picture and core. 0: the cores of the machine "
        "divided by the ranks on it; 3 on a GPU.",
    )
    decoder_threads: int = Field(
        1,
        ge=1,
        le=64,
        description="Threads of the decoder, which runs concurrently with the network. One decodes "
        "720p ten times as fast as two cores stylize it.",
    )
