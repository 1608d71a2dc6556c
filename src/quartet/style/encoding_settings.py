"""Parameters of the video encoder."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from quartet.style.settings import Settings


class Encoding(Settings):
    """Parameters of the H.264 encoder."""

    quality: float = Field(
        18,
        ge=0,
        le=51,
        description="Constant rate factor (CRF) of x264, from 0 (lossless) to 51 (worst). 18 is "
        "visually lossless; each 6 more roughly halve the file size.",
    )
    preset: Literal[
        "ultrafast",
        "superfast",
        "veryfast",
        "faster",
        "fast",
        "medium",
        "slow",
        "slower",
        "veryslow",
    ] = Field(
        "veryfast",
        description="x264 preset: slower ones compress better. `medium` takes 2.5 times as long, "
        "`ultrafast` half as long at three times the file size.",
    )
    tune: Literal["film", "animation", "grain", "stillimage"] | None = Field(
        None, description="x264 tuning for a kind of content; `animation` suits flat areas."
    )
    keyframe_seconds: float = Field(
        2,
        gt=0,
        le=60,
        description="Maximum distance of key frames, at which players can seek, in seconds. Every "
        "segment starts with a key frame, too.",
    )
    threads: int = Field(
        2,
        ge=1,
        le=64,
        description="Threads of the encoder. The same number gives the same bytes on every "
        "machine; other numbers give other bytes of the same quality. 0, x264's own choice, is not "
        "allowed: it depends on the machine.",
    )
    fast_start: bool = Field(
        True,
        description="Whether an MP4 file starts with its index, so that browsers can play it "
        "while it downloads; costs one more copy of the file.",
    )
