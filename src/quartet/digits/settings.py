"""Parameters of the MNIST scenario, with their ranges and the reason for each default."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Seed = Annotated[int, Field(ge=0, lt=2**32, description="Start of every random choice made here.")]
Positive = Annotated[float, Field(gt=0)]


class _Settings(BaseModel):
    """Immutable, and strict about names: a misspelt parameter is an error."""

    # Built on first use: listing the pipelines should not pay for it.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Exploration(_Settings):
    """What the first look at the data shows."""

    seed: Seed
    images: int = Field(
        30, ge=1, le=200, description="Digits in the random grid; the tutorial shows 30."
    )


class ValidationSplit(_Settings):
    """How the validation set, on which everything is chosen, is held back."""

    seed: Seed
    fraction: float = Field(
        0.1,
        gt=0,
        lt=1,
        description="Share of each digit held back. A tenth of MNIST, 6,000 images, measures an "
        "accuracy of 0.92 to ±0.007 and leaves nine tenths to fit on.",
    )


class RegularisationSweep(_Settings):
    """The search for the L2 penalty of the multinomial logistic regression."""

    strengths: tuple[Positive, ...] = Field(
        (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0),
        min_length=1,
        description="Penalties to try, as in strength/2 times the squared weights, added to the "
        "summed log loss: scikit-learn's 1/C. Half a decade apart around MNIST's best, 3.",
    )
    tolerance: float = Field(
        5e-4,
        gt=0,
        lt=1,
        description="A fit stops when no component of the preconditioned gradient of the mean log "
        "loss exceeds this. Five times tighter moves the accuracy by less than 0.001.",
    )
    max_passes: int = Field(
        300,
        ge=1,
        description="Passes over the images after which a fit stops with a warning; about 40 "
        "suffice on MNIST for the weakest penalty.",
    )

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if len(set(self.strengths)) != len(self.strengths):
            raise ValueError("the strengths must differ from one another")
        return self


class ConvNetTraining(_Settings):
    """How the convolutional network is trained."""

    seed: Seed
    epochs: int = Field(
        10,
        ge=1,
        description="Passes over the images. Four more gain less than 0.001 on MNIST and take as "
        "much longer.",
    )
    minimum_steps: int = Field(
        600,
        ge=0,
        description="Batches to train on at least: a small set, such as the sample, is passed over "
        "more often than `epochs`, for the schedule and the statistics to settle.",
    )
    batch_size: int = Field(
        250, ge=1, description="Images a step; half as many did no better on MNIST."
    )
    momentum: float = Field(0.9, ge=0, lt=1, description="Of SGD; the customary value.")
    weight_decay: float = Field(
        5e-4, ge=0, description="Pull on weights towards zero, per step and learning rate."
    )
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="Share of the target spread over all digits."
    )
    warm_up: float = Field(
        0.2, gt=0, lt=1, description="Share of the training in which the learning rate rises."
    )
    rotation_degrees: float = Field(
        12, ge=0, le=45, description="Largest turn; beyond 20 a 6 begins to look like a 9."
    )
    scaling: float = Field(0.1, ge=0, lt=1, description="Largest change of width and of height.")
    shear: float = Field(0.1, ge=0, lt=1, description="Largest slant, width per height.")
    shift_pixels: float = Field(
        2, ge=0, le=8, description="Largest move; MNIST's digits have a margin of 4 pixels."
    )


class LearningRateSearch(_Settings):
    """Short trainings that choose the peak learning rate on the validation set."""

    learning_rates: tuple[Positive, ...] = Field(
        (0.08, 0.15), min_length=1, description="Peaks to try, a factor of about two apart."
    )
    share: float = Field(
        0.1,
        gt=0,
        le=1,
        description="Length of a trial, as a share of the full training, at least one epoch; one "
        "epoch of MNIST tells a bad peak from a good one.",
    )
