"""Parameters of the style scenario, with their ranges and the reason for each default."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Seed = Annotated[int, Field(ge=0, lt=2**32, description="Start of every random choice made here.")]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Layer = Literal[
    "conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1", "conv3_2", "conv3_3", "conv3_4"
]


class Settings(BaseModel):
    """Immutable, and strict about names: a misspelt parameter is an error."""

    # Built on first use: listing the pipelines should not pay for it.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class StyleTraining(Settings):
    """How a network learns the style of one painting."""

    seed: Seed
    width: int = Field(
        16,
        ge=4,
        le=64,
        multiple_of=4,
        description="Channels of the first layer, a multiple of 4. The published networks have 32 "
        "and take four times as long for a frame.",
    )
    steps: int = Field(
        4000,
        ge=1,
        description="Updates. The learning rate falls to zero at the end, so fewer still end in a "
        "finished network, of a coarser style. On one core 4,000 take about an hour.",
    )
    batch_size: int = Field(
        1,
        ge=1,
        le=64,
        description="Crops of photographs an update. On a CPU time goes with it, from 2 on on two "
        "cores; a GPU has room for more.",
    )
    crop: int = Field(
        256,
        ge=64,
        le=1024,
        multiple_of=4,
        description="Side of a crop, pixels, a multiple of 4; time goes with its square. It should "
        "hold several strokes of the painting as scaled.",
    )
    painting_side: int = Field(
        512,
        ge=64,
        le=2048,
        description="Shorter side that the painting is scaled to, pixels: large paintings give "
        "large brush strokes.",
    )
    learning_rate: Positive = Field(
        1.5e-3,
        le=0.1,
        description="Highest, of Adam: fifty steps lead up to it, half a cosine down to zero.",
    )
    content_weight: Weight = Field(
        1.0, description="Of the distance to the photograph; what the others are weighed against."
    )
    style_weight: Weight = Field(
        50.0,
        description="Of the distance to the painting: the more, the more painting and the less "
        "photograph. With a tenth of it a video looks like a tinted photograph.",
    )
    roughness_weight: Weight = Field(
        0.02,
        description="Of the difference between neighbouring pixels, against noise that VGG does "
        "not see.",
    )
    content_layer: Layer = Field(
        "conv2_2",
        description="Where photographs are compared, as in pytorch/examples: outlines stay, "
        "colours and textures are free.",
    )
    style_layers: tuple[Layer, ...] = Field(
        ("conv1_2", "conv2_2", "conv3_2", "conv3_4"),
        min_length=1,
        description="Where correlations are compared with the painting's, from fine to coarse.",
    )
    preview_every: int = Field(
        250,
        ge=1,
        description="Updates between two pictures of progress, and two checkpoints: what a stop "
        "costs at most, some minutes.",
    )
    verify_vgg: bool = Field(
        True,
        description="Whether VGG's weights must be those of the Caffe model, with which the "
        "defaults above were chosen; others see colours of another scale.",
    )


class PaintingDescription(Settings):
    """What the model card says of the painting; nothing is learned from it."""

    title: str | None = Field(
        None, description="Title, artist and year. Without it, the card is named after the style."
    )
    licence: str = Field(
        "not stated",
        min_length=1,
        description="Under which the painting may be used, such as `public domain`: whoever gets "
        "the weights will ask.",
    )
