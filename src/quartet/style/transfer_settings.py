"""Parameters of stylizing, with their ranges and the reason for each default."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from quartet.style.settings import Settings


class StyleTransfer(Settings):
    """What is done with a video or with pictures."""

    segment_frames: int = Field(
        64,
        ge=1,
        le=10_000,
        description="Approximate frames per segment: a killed run loses one segment per rank. Each "
        "segment begins with a key frame, so shorter ones make a larger file.",
    )
    accept_truncated: bool = Field(
        False,
        description="Whether of a video that ends before its container says so, what is there is "
        "stylized; otherwise it is refused.",
    )
    smoothing: float = Field(
        0.0,
        ge=0,
        le=0.95,
        description="Weight of the frame before, where the source stands still, against flicker. "
        "0: frames are independent. From 0.8 on small motions leave traces.",
    )
    comparison_pairs: int = Field(
        12, ge=1, le=1000, description="Pairs of frames on which flicker is measured."
    )


class Stylizing(Settings):
    """How frames go through the network."""

    precision: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto",
        description="`auto`: float16 on a GPU, bfloat16 on a processor that multiplies it "
        "natively, float32 on others.",
    )
    compiled: Literal["auto", "always", "never"] = Field(
        "auto",
        description="Whether PyTorch compiles the network. `auto`: on a GPU; on a processor the "
        "hand-written form is faster, and starts half a minute sooner.",
    )
    batch_size: int = Field(
        0, ge=0, le=256, description="Frames at a time. 0: 8 on a GPU, 1 on a processor."
    )
    workers: int = Field(
        0,
        ge=0,
        le=256,
        description="Threads, each with batches and a core of its own. 0: the cores of the machine "
        "divided by the ranks on it; on a GPU 1.",
    )
    decoder_threads: int = Field(
        1,
        ge=1,
        le=64,
        description="Of the decoder, which runs beside the network. One decodes 720p ten times as "
        "fast as two cores stylize it; a GPU wants more.",
    )
