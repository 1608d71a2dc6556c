"""Parameters of style training."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Layer = Literal[
    "conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1", "conv3_2", "conv3_3", "conv3_4"
]


class Settings(BaseModel):
    """Immutable parameters; an unknown name is an error."""

    # Build on first use, so that listing the pipelines stays fast.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class StyleTraining(Settings):
    """Parameters for training the network of one style."""

    seed: int = Field(ge=0, lt=2**32, description="Random seed.")
    width: int = Field(
        16,
        ge=4,
        le=64,
        multiple_of=4,
        description="Channels of the first layer, a multiple of 4. The published networks have 32 "
        "and take four times as long per frame.",
    )
    steps: int = Field(
        4000,
        ge=1,
        description="Optimiser steps. The learning rate falls to zero at the last one, so fewer "
        "steps also give a converged network, of a coarser style. 4,000 take about an hour on one "
        "core.",
    )
    batch_size: int = Field(
        1,
        ge=1,
        le=64,
        description="Crops per step. On a CPU, time is proportional to it; from 2 on, two cores "
        "are used. A GPU can process more at once.",
    )
    crop: int = Field(
        256,
        ge=64,
        le=1024,
        multiple_of=4,
        description="Side of a crop, pixels, a multiple of 4; time is proportional to its square. "
        "It should cover several strokes of the scaled painting.",
    )
    painting_side: int = Field(
        512,
        ge=64,
        le=2048,
        description="Shorter side of the scaled painting, pixels: larger values give larger brush "
        "strokes.",
    )
    learning_rate: float = Field(
        1.5e-3,
        gt=0,
        le=0.1,
        description="Peak learning rate of Adam: 50 steps of linear warm-up, then cosine decay to "
        "zero.",
    )
    content_weight: Weight = Field(
        1.0, description="Weight of the content loss; the other weights are relative to it."
    )
    style_weight: Weight = Field(
        50.0,
        description="Weight of the style loss: higher values give more painting and less "
        "photograph. At a tenth of the default, a video looks like a tinted photograph.",
    )
    roughness_weight: Weight = Field(
        0.02,
        description="Weight of the total variation, the difference between neighbouring pixels, "
        "against noise that VGG does not detect.",
    )
    content_layer: Layer = Field(
        "conv2_2",
        description="VGG-19 layer of the content loss, as in pytorch/examples: it preserves "
        "outlines and leaves colours and textures free.",
    )
    style_layers: tuple[Layer, ...] = Field(
        ("conv1_2", "conv2_2", "conv3_2", "conv3_4"),
        min_length=1,
        description="VGG-19 layers of the style loss, from fine to coarse.",
    )
    preview_every: int = Field(
        250,
        ge=1,
        description="Steps between two previews, each with a checkpoint: at most these steps are "
        "lost when training stops.",
    )
    verify_vgg: bool = Field(
        True,
        description="Whether the weights of VGG-19 must be those of the Caffe model. The defaults "
        "above were chosen with them; others expect another range of input values.",
    )


class PaintingDescription(Settings):
    """Description of the painting for the model card; training does not use it."""

    title: str | None = Field(
        None, description="Title, artist and year. Without it, the card uses the name of the style."
    )
    licence: str = Field(
        "not stated",
        min_length=1,
        description="Licence of the painting, such as `public domain`: users of the weights need "
        "to know it.",
    )
