"""Parameters of the video that is written, with their ranges and the reason for each default."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from quartet.style.settings import Settings


class Encoding(Settings):
    """How stylized frames become H.264."""

    quality: float = Field(
        18,
        ge=0,
        le=51,
        description="Constant rate factor of x264: 0 loses nothing, 51 nearly all. At 18 the eye "
        "finds no difference; each 6 more halve the file, about.",
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
        description="Slower ones make more of the same size. `medium` takes twice and a half as "
        "long, `ultrafast` half as long for three times the size.",
    )
    tune: Literal["film", "animation", "grain", "stillimage"] | None = Field(
        None, description="Kind of picture that x264 is adjusted to; `animation` for flat areas."
    )
    keyframe_seconds: float = Field(
        2,
        gt=0,
        le=60,
        description="Maximum distance of key frames, which a player decodes after a seek. Every "
        "segment begins with a key frame, too.",
    )
    threads: int = Field(
        2,
        ge=1,
        le=64,
        description="Of the encoder. The same number gives the same bytes on every machine, "
        "another number an equally good but other file; 0, x264's own choice, would not.",
    )
    fast_start: bool = Field(
        True,
        description="Whether the index stands at the head of an MP4 file, so that a browser plays "
        "it before it has all; costs one more copy of the file.",
    )
