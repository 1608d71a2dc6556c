"""Nodes of `style_training`: the science of `quartet.style.training`, and what it leaves behind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import lazy_loader
from numpy.typing import NDArray

from quartet import __version__
from quartet.datasets.checkpoint import Checkpoint, CheckpointState, fingerprint
from quartet.datasets.torch_weights import Weights
from quartet.style import model_card
from quartet.style.settings import PaintingDescription, StyleTraining

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from quartet.datasets.live_picture import LivePicture
    from quartet.datasets.picture_folder import PictureFolder
    from quartet.datasets.pictures import PictureFile
    from quartet.style.training import Course
    from quartet.style.training_figures import Previews
else:
    # Kedro resolves these annotations in a run; listing the pipelines should not pay for them.
    pd = lazy_loader.load("pandas")
    Course = Figure = LivePicture = PictureFile = PictureFolder = Previews = Any

Arrays = dict[str, NDArray[Any]]
_PREVIEW = "preview/"
"""Before the names of the pictures in a checkpoint."""


def train_style(
    painting: PictureFile,
    photographs: PictureFolder,
    test_photographs: PictureFolder,
    vgg_weights: Weights,
    style_training: StyleTraining,
    painting_description: PaintingDescription,
    style_checkpoint: Checkpoint,
    style_progress: LivePicture,
) -> tuple[Weights, pd.DataFrame, Arrays]:
    """The trained network, its losses, and test photographs stylized on the way.

    A stopped training goes on from the checkpoint.
    """
    from quartet.style import photographs as bundled
    from quartet.style import training, training_figures, vgg

    vgg_tensors = vgg.vgg_tensors(vgg_weights.arrays, style_training.verify_vgg)
    subjects = photographs or bundled.bundled_photographs()
    course = training.Course(painting.pixels, subjects, vgg_tensors, style_training)
    previews = training_figures.Previews(
        painting.pixels,
        test_photographs or bundled.bundled_test_photographs(),
        training.notes(style_training),
    )
    vgg_digest = vgg.digest(vgg_tensors)
    folders = (photographs.fingerprint, test_photographs.fingerprint)
    key = fingerprint(__version__, painting.pixels, *folders, vgg_digest, style_training)
    _run(course, previews, style_checkpoint, key, style_progress)
    facts = model_card.training_facts(
        model_card.Painting.of(painting.name, painting.pixels, painting.sha256),
        painting_description,
        subjects,
        vgg_digest == vgg.CAFFE_SHA256,
        style_training,
        __version__,
    )
    weights = Weights(painting.name, course.weights(), facts)
    return weights, pd.DataFrame(course.history), previews.arrays()


def _run(
    course: Course, previews: Previews, checkpoint: Checkpoint, key: str, progress: LivePicture
) -> None:
    """Train from where the checkpoint is to the end, keeping state and pictures."""
    from quartet.style.training_figures import png, preview_grid

    state = checkpoint.restore(key)
    if state.facts:
        course.restore(state.arrays, state.facts)
        previews.restore(_parted(state.arrays, _PREVIEW))

    def keep(course: Course) -> None:
        previews.add(course.step, course.stylize)
        arrays, facts = course.state()
        pictures = {_PREVIEW + name: array for name, array in previews.arrays().items()}
        checkpoint.store(key, CheckpointState(arrays | pictures, facts))
        progress.show(png(preview_grid(previews.arrays())))

    course.run(keep)


def _parted(arrays: Mapping[str, NDArray[Any]], prefix: str) -> Arrays:
    """Those whose names begin with the prefix, named without it."""
    return {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }


def draw_training(style_history: pd.DataFrame, style_previews: Arrays) -> tuple[Figure, Figure]:
    """The curves of the losses, and the grid of test photographs."""
    from quartet.style.training_figures import loss_curves, preview_grid

    return loss_curves(style_history), preview_grid(style_previews)


def report_training(
    style_weights_trained: Weights, style_history: pd.DataFrame
) -> tuple[dict[str, float], str]:
    """The training's numbers, and the model card."""
    last = style_history.iloc[-1]
    arrays = style_weights_trained.arrays
    metrics = {
        "steps": int(last["step"]),
        "content_loss": float(last["content"]),
        "style_loss": float(last["style"]),
        "roughness_loss": float(last["roughness"]),
        "seconds_per_step": float(style_history["seconds"].sum() / last["step"]),
        "width": len(arrays["conv1.conv2d.bias"]),
        "parameters": sum(array.size for array in arrays.values()),
    }
    name, facts = style_weights_trained.name, style_weights_trained.metadata
    return metrics, model_card.model_card(name, facts, metrics)


def clear_style_checkpoint(
    style_training_metrics: dict[str, float], style_checkpoint: Checkpoint
) -> None:
    """Nothing: what the training kept for a stop is no longer wanted.

    The metrics are received to come after them: by then the weights and their card are saved.
    """
    style_checkpoint.clear()
