"""Parameters of the MNIST scenario: ranges and reasons for the defaults."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Seed = Annotated[int, Field(ge=0, lt=2**32, description="Seed of the random number generator.")]
Positive = Annotated[float, Field(gt=0)]


class _Settings(BaseModel):
    """Base class: immutable, unknown parameters are errors."""

    # Validators are built on first use, so that listing the pipelines stays fast.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class ImagePreparation(_Settings):
    """How to bring images and labels into the form of MNIST's."""

    seed: Seed
    resize: bool = Field(
        False,
        description="Whether to resize images of other sizes than 28 × 28 pixels: the longer side "
        "to 28, the other filled. Off, because blurred or cropped digits should be intended.",
    )
    invert: bool | None = Field(
        None,
        description="Whether to invert grey levels, so that ink is 255 and paper 0. If null, "
        "images are inverted if the border of the training images is light.",
    )
    labels: Literal["auto", "names"] = Field(
        "auto",
        description="What labels are: with `auto`, whole numbers are the digits 0 to 9, anything "
        "else names of classes; with `names`, numbers are names of classes, too.",
    )
    test_fraction: float = Field(
        0.2,
        gt=0,
        lt=1,
        description="Fraction of each class held out as test set, if the data has none.",
    )
    min_accepted_share: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Least share of pictures that must be readable; below it the run fails.",
    )


class Exploration(_Settings):
    """Parameters of the exploratory figures."""

    seed: Seed
    images: int = Field(
        30, ge=1, le=200, description="Digits in the random grid; Microsoft's tutorial shows 30."
    )


class ValidationSplit(_Settings):
    """The held-out validation set, on which hyperparameters are chosen."""

    seed: Seed
    fraction: float = Field(
        0.1,
        gt=0,
        lt=1,
        description="Fraction of each digit held out. A tenth of MNIST, 6,000 images, measures an "
        "accuracy of 0.92 to ±0.007 and leaves nine tenths to fit on.",
    )


class RegularisationSweep(_Settings):
    """The search for the regularisation strength of the logistic regression."""

    strengths: tuple[Positive, ...] = Field(
        (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0),
        min_length=1,
        description="Regularisation strengths to try: scikit-learn's 1/C, so strength/2 times the "
        "squared weights is added to the summed log loss. Half a decade apart around MNIST's best, "
        "3.",
    )
    tolerance: float = Field(
        5e-4,
        gt=0,
        lt=1,
        description="A fit has converged when no component of the preconditioned gradient of the "
        "mean log loss exceeds this. Five times tighter moves the accuracy by less than 0.001.",
    )
    max_passes: int = Field(
        300,
        ge=1,
        description="Passes over the images after which a fit stops with a warning; about 40 "
        "suffice on MNIST for the weakest regularisation.",
    )

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if len(set(self.strengths)) != len(self.strengths):
            raise ValueError("strengths contains duplicates; list each strength once")
        return self


class ConvNetTraining(_Settings):
    """Hyperparameters of the convolutional network's training."""

    seed: Seed
    epochs: int = Field(
        12,
        ge=1,
        description="Passes over the images; on two cores, 12 take no longer than the fit of "
        "Microsoft's tutorial on MNIST.",
    )
    minimum_steps: int = Field(
        600,
        ge=0,
        description="Least number of batches to train on: a small set, such as the sample, is "
        "trained for more epochs, so that the running statistics converge.",
    )
    batch_size: int = Field(
        250, ge=1, description="Images per step; half as many were no better on MNIST."
    )
    momentum: float = Field(0.9, ge=0, lt=1, description="Momentum of SGD; the usual value.")
    weight_decay: float = Field(
        5e-4, ge=0, description="Weight decay of SGD, on convolutions and the linear layer."
    )
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="Probability spread evenly over all digits in the target."
    )
    warm_up: float = Field(
        0.2, gt=0, lt=1, description="Fraction of the training in which the learning rate rises."
    )
    rotation_degrees: float = Field(
        12, ge=0, le=45, description="Largest rotation; beyond 20 a 6 starts to look like a 9."
    )
    scaling: float = Field(
        0.1, ge=0, lt=1, description="Largest relative change of width and of height."
    )
    shear: float = Field(0.1, ge=0, lt=1, description="Largest shear, horizontal shift per height.")
    shift_pixels: float = Field(
        2, ge=0, le=8, description="Largest shift; MNIST's digits have a margin of 4 pixels."
    )


class LearningRateSearch(_Settings):
    """Short trainings that choose the peak learning rate on the validation set."""

    learning_rates: tuple[Positive, ...] = Field(
        (0.08, 0.15),
        min_length=1,
        description="Peak learning rates to try, a factor of about two apart.",
    )
    share: float = Field(
        0.1,
        gt=0,
        le=1,
        description="Length of a trial, as a fraction of the full training; at least one epoch, "
        "which separates bad from good rates on MNIST.",
    )
