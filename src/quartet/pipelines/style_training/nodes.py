"""Nodes of `style_training`."""

from __future__ import annotations

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
    from quartet.style.training import StyleTrainer
    from quartet.style.training_figures import Previews
else:
    # Kedro resolves these annotations in a run only, so that listing the pipelines stays fast.
    pd = lazy_loader.load("pandas")
    StyleTrainer = Figure = LivePicture = PictureFile = PictureFolder = Previews = Any

Arrays = dict[str, NDArray[Any]]
_PREVIEW = "preview/"
"""Prefix of the names of preview pictures in a checkpoint."""


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
    """Train the network, or resume from the checkpoint.

    Returns:
        The weights, one row of losses per logged step, and the previews.
    """
    from quartet.style import training, training_figures, vgg
    from quartet.style.photographs import load_bundled_photographs, load_bundled_test_photographs

    vgg_tensors = vgg.select_vgg_weights(vgg_weights.arrays, style_training.verify_vgg)
    training_photographs = photographs or load_bundled_photographs()
    trainer = training.StyleTrainer(
        painting.pixels, training_photographs, vgg_tensors, style_training
    )
    previews = training_figures.Previews(
        painting.pixels,
        test_photographs or load_bundled_test_photographs(),
        training.log_steps(style_training),
    )
    vgg_digest = vgg.weights_digest(vgg_tensors)
    folders = (photographs.fingerprint, test_photographs.fingerprint)
    key = fingerprint(__version__, painting.pixels, *folders, vgg_digest, style_training)
    _run(trainer, previews, style_checkpoint, key, style_progress)
    facts = model_card.build_training_metadata(
        painting.name,
        painting.sha256,
        painting.pixels,
        painting_description,
        training_photographs,
        vgg_digest == vgg.CAFFE_SHA256,
        style_training,
        __version__,
    )
    weights = Weights(painting.name, trainer.weights(), facts)
    return weights, pd.DataFrame(trainer.history), previews.to_arrays()


def _run(
    trainer: StyleTrainer,
    previews: Previews,
    checkpoint: Checkpoint,
    key: str,
    progress: LivePicture,
) -> None:
    """Train to the end, and save a checkpoint and the progress picture at every logged step."""
    from quartet.style.training_figures import draw_preview_grid, to_png

    state = checkpoint.restore(key)
    if state.facts:
        trainer.restore(state.arrays, state.facts)
        saved = [name for name in state.arrays if name.startswith(_PREVIEW)]
        previews.restore({name.removeprefix(_PREVIEW): state.arrays[name] for name in saved})

    def on_log(trainer: StyleTrainer) -> None:
        previews.add(trainer.step, trainer.stylize)
        arrays, facts = trainer.state()
        pictures = {_PREVIEW + name: array for name, array in previews.to_arrays().items()}
        checkpoint.store(key, CheckpointState(arrays | pictures, facts))
        progress.show(to_png(draw_preview_grid(previews.to_arrays())))

    trainer.run(on_log)


def draw_training(style_history: pd.DataFrame, style_previews: Arrays) -> tuple[Figure, Figure]:
    """Draw the loss curves and the grid of previews."""
    from quartet.style.training_figures import draw_loss_curves, draw_preview_grid

    return draw_loss_curves(style_history), draw_preview_grid(style_previews)


def report_training(
    style_weights_trained: Weights, style_history: pd.DataFrame
) -> tuple[dict[str, float], str]:
    """Return the metrics of the training, and the model card."""
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
    checksum = style_weights_trained.sha256
    return metrics, model_card.format_model_card(name, facts, metrics, checksum)


def clear_style_checkpoint(
    style_training_metrics: dict[str, float], style_checkpoint: Checkpoint
) -> None:
    """Clear the checkpoint.

    `style_training_metrics` is an input only for the order: weights and card are saved first.
    """
    style_checkpoint.clear()
