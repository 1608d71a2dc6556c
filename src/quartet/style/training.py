"""Train a network for the style of one painting."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from quartet.style.network import StyleNetwork, to_pictures
from quartet.style.perception import PerceptualLoss
from quartet.style.photographs import (
    Photographs,
    Picture,
    generate_crop_batches,
    scale_shorter_side,
)
from quartet.style.precision import select_device, select_dtype
from quartet.style.settings import StyleTraining
from quartet.style.vgg import Vgg19

logger = logging.getLogger(__name__)

Arrays = Mapping[str, NDArray[Any]]
_MEAN_LEVEL = 120.0
_LEVEL_SCALE = 30.0
"""Mean and scale of the initial output, levels: the default initialisation gives values near 0,
far from pictures with levels from 0 to 255."""
_MAX_GRADIENT_NORM = 1.0
_MAX_SKIPPED_STEPS = 20
"""Successive steps that may be skipped."""
_LOSSES = ("content", "style", "roughness")
_MIN_PAINTING_SIDE = 32
_MAX_PAINTING_ASPECT = 8
"""Longer side by shorter side: beyond it, a scaled painting would fill the memory."""

_Gradient = tuple[float, Tensor, tuple[Tensor, ...]]
"""Share of the batch, its three mean losses, and the gradient of their weighted sum."""


class StyleTrainer:
    """Train a style network; training can be stopped and resumed at any step.

    Follows Johnson et al. (2016): crops of photographs are stylized, and the network learns
    from the features that VGG-19 extracts from the result, the photograph and the painting.

    Args:
        painting: Shape (h, w, 3), uint8 RGB.
        photographs: Photographs by name, at least one, each of shape (h, w, 3), uint8 RGB.
        vgg_weights: Weights of `quartet.style.vgg.Vgg19`.
        settings: Parameters of the training.

    Attributes:
        step: Steps done.
        history: One row per logged step: `step`, the mean losses since the previous row
            (`content`, `style`, `roughness`), the current `learning_rate`, and the `seconds`
            since the previous row.

    Raises:
        ValueError: The painting is too small or too elongated, or the weights do not belong to
            VGG-19.
    """

    def __init__(
        self,
        painting: Picture,
        photographs: Photographs,
        vgg_weights: Mapping[str, Tensor],
        settings: StyleTraining,
    ) -> None:
        _check_painting(painting)
        self.settings = settings
        self.step = 0
        self._skipped_steps = 0
        self.history: list[dict[str, float]] = []
        self._photographs = photographs
        self._device = select_device()
        self._dtype = select_dtype(self._device)
        layout: dict[str, Any] = {"device": self._device, "memory_format": torch.channels_last}
        self.network: StyleNetwork = _initialise_network(settings).to(**layout)
        self._parameters = list(self.network.parameters())
        vgg: Vgg19 = Vgg19(vgg_weights).to(**layout)
        self._loss = PerceptualLoss.from_painting(
            vgg,
            self._to_tensor(scale_shorter_side(painting, settings.painting_side)[None]),
            settings.style_layers,
            settings.content_layer,
        )
        self._optimiser = torch.optim.Adam(self._parameters, lr=settings.learning_rate)

    def run(self, on_log: Callable[[StyleTrainer], None]) -> None:
        """Train to the last step; call `on_log` every `preview_every` steps and after the last.

        Raises:
            ValueError: A loss is not finite, or no photograph can be read.
        """
        settings = self.settings
        crops = generate_crop_batches(
            self._photographs,
            settings.batch_size,
            settings.crop,
            settings.seed,
            range(self.step, settings.steps),
        )
        logged_steps, log = set(log_steps(settings)), _LossLog(self)
        with closing(crops), self._open_workers() as map_parts, log.bar:
            for batch in crops:
                losses = self._update(batch, map_parts)
                self.step += 1
                log.add(losses)
                if self.step in logged_steps:
                    self.history.append(log.row())
                    on_log(self)
                    log.begin()

    @contextmanager
    def _open_workers(self) -> Iterator[Callable[..., Any]]:
        """Provide the `map` that processes the parts of a batch.

        On a CPU, two threads each take half of a batch. Threads inside the layers would wait for
        each other at every layer, which is slow next to other busy processes. It is two on every
        machine, so that results are the same everywhere.
        """
        if self._device.type != "cpu":
            yield map
            return
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            with ThreadPoolExecutor(2, initializer=torch.set_num_threads, initargs=(1,)) as pool:
                yield pool.map if self.settings.batch_size > 1 else map
        finally:
            torch.set_num_threads(threads)

    def _update(self, crops: Picture, map_parts: Callable[..., Any]) -> NDArray[np.float64]:
        """Run one step of Adam; return the three losses before weighting."""
        for group in self._optimiser.param_groups:
            group["lr"] = learning_rate(self.step, self.settings)
        parts = 1 if map_parts is map else 2
        results: list[_Gradient] = list(map_parts(self._gradient, np.array_split(crops, parts)))
        for index, parameter in enumerate(self._parameters):
            slices = [gradients[index] * share for share, _, gradients in results]
            parameter.grad = torch.stack(slices).sum(dim=0) if parts > 1 else slices[0]
        norm = float(torch.nn.utils.clip_grad_norm_(self._parameters, _MAX_GRADIENT_NORM))
        losses = torch.stack([part * share for share, part, _ in results]).sum(dim=0).tolist()
        if math.isfinite(norm):
            self._optimiser.step()
        self._check_finite(losses, norm)
        return np.array(losses)

    def _check_finite(self, losses: list[float], norm: float) -> None:
        """Raise ValueError if training has diverged.

        A single gradient that is not finite is no divergence: instance normalisation divides a
        crop of one colour by nearly zero. That step is skipped.
        """
        self._skipped_steps = 0 if math.isfinite(norm) else self._skipped_steps + 1
        settings = self.settings
        finite = all(map(math.isfinite, losses))
        if finite and self._skipped_steps < min(_MAX_SKIPPED_STEPS, settings.steps):
            return
        losses_text = ", ".join(
            f"{name} {value:g}" for name, value in zip(_LOSSES, losses, strict=True)
        )
        raise ValueError(
            f"training diverged at step {self.step + 1} ({losses_text}, gradient norm "
            f"{norm:g}); lower style_training.learning_rate (now {settings.learning_rate:g}) or "
            f"the largest weight: content_weight (now {settings.content_weight:g}), "
            f"style_weight (now {settings.style_weight:g}), roughness_weight (now "
            f"{settings.roughness_weight:g})"
            + ("; or use photographs with more than one colour" if finite else "")
        )

    def _gradient(self, crops: Picture) -> _Gradient:
        settings = self.settings
        pictures = self._to_tensor(crops)
        # Two threads must not share cached casts of the weights.
        with torch.autocast(
            self._device.type,
            self._dtype,
            enabled=self._dtype != torch.float32,
            cache_enabled=False,
        ):
            losses = self._loss(self.network(pictures).float(), pictures)
        total = (
            settings.content_weight * losses.content
            + settings.style_weight * losses.style
            + settings.roughness_weight * losses.roughness
        )
        gradient = torch.autograd.grad(total, self._parameters)
        each = torch.stack([getattr(losses, name).detach() for name in _LOSSES])
        return len(crops) / settings.batch_size, each, gradient

    def stylize(self, picture: Picture) -> Picture:
        """Stylize a picture with the current weights; crop its sides to multiples of 4."""
        height, width = (size // 4 * 4 for size in picture.shape[:2])
        with torch.inference_mode():
            stylized = to_pictures(self.network(self._to_tensor(picture[None, :height, :width])))
        return stylized[0].permute(1, 2, 0).cpu().numpy()

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """Return the weights of the network by name."""
        state = self.network.state_dict()
        return {name: tensor.cpu().contiguous().numpy().copy() for name, tensor in state.items()}

    def state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return arrays and values from which `restore` resumes training."""
        arrays: dict[str, NDArray[Any]] = dict(self.weights())
        for name, parameter in self.network.named_parameters():
            for moment, value in self._optimiser.state[parameter].items():
                arrays[f"{moment}/{name}"] = value.cpu().contiguous().numpy().copy()
        return arrays, {"step": self.step, "history": self.history}

    def restore(self, arrays: Arrays, facts: Mapping[str, Any]) -> None:
        """Restore what `state` returned."""
        own = self.network.state_dict()
        self.network.load_state_dict({name: torch.tensor(arrays[name]) for name in own})
        for name, parameter in self.network.named_parameters():
            if f"step/{name}" not in arrays:  # before the first step
                continue
            moments = {
                moment: torch.tensor(arrays[f"{moment}/{name}"]).to(self._device)
                for moment in ("exp_avg", "exp_avg_sq")
            }
            # Some array files return a scalar with shape (1,). Adam keeps `step` on the CPU.
            count = torch.tensor(arrays[f"step/{name}"]).reshape(())
            self._optimiser.state[parameter] = {"step": count, **moments}
        self.step = int(facts["step"])
        self.history = list(facts["history"])

    def _to_tensor(self, pictures: Picture) -> Tensor:
        """Convert (n, h, w, 3) uint8 to (n, 3, h, w) float32, channels last in memory."""
        # The permuted view is already channels last, so nothing is copied.
        return torch.tensor(pictures, device=self._device).permute(0, 3, 1, 2).float()


class _LossLog:
    """Losses since the last row of the history, also shown in the progress bar."""

    def __init__(self, trainer: StyleTrainer) -> None:
        self._trainer = trainer
        self.begin()
        self.bar = tqdm(
            total=trainer.settings.steps,
            initial=trainer.step,
            desc="training the style",
            unit="step",
            disable=None,
        )

    def begin(self) -> None:
        self._sums = np.zeros(len(_LOSSES))
        self._since = self._trainer.step
        self._start = time.perf_counter()

    def add(self, losses: NDArray[np.float64]) -> None:
        self._sums += losses
        self.bar.set_postfix_str(_format_losses(self._means()), refresh=False)
        self.bar.update()

    def row(self) -> dict[str, float]:
        trainer, means = self._trainer, self._means()
        seconds = time.perf_counter() - self._start
        if self.bar.disable:  # no terminal for the progress bar
            each = seconds / (trainer.step - self._since)
            logger.info(
                "Step %d of %d (%.2f s per step): %s",
                *(trainer.step, trainer.settings.steps, each, _format_losses(means)),
            )
        rate = learning_rate(trainer.step - 1, trainer.settings)
        return {"step": trainer.step, **means, "learning_rate": rate, "seconds": seconds}

    def _means(self) -> dict[str, float]:
        means = self._sums / (self._trainer.step - self._since)
        return dict(zip(_LOSSES, means.tolist(), strict=True))


def _format_losses(losses: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in losses.items())


def _initialise_network(settings: StyleTraining) -> StyleNetwork:
    with torch.random.fork_rng(devices=[]):  # leave the caller's random state unchanged
        torch.manual_seed(settings.seed)
        network = StyleNetwork(settings.width)
    with torch.no_grad():
        network.deconv3.conv2d.weight *= _LEVEL_SCALE
        network.deconv3.conv2d.bias = nn.Parameter(torch.full((3,), _MEAN_LEVEL))
    return network


def _check_painting(painting: Picture) -> None:
    height, width = painting.shape[:2]
    if min(height, width) < _MIN_PAINTING_SIDE:
        raise ValueError(
            f"painting: {width} × {height} pixels is too small; use one with at least "
            f"{_MIN_PAINTING_SIDE} pixels on its shorter side, better 300 or more"
        )
    if max(height, width) > _MAX_PAINTING_ASPECT * min(height, width):
        raise ValueError(
            f"painting: {width} × {height} pixels is too elongated; crop it to an aspect ratio "
            f"of at most {_MAX_PAINTING_ASPECT}"
        )


def log_steps(settings: StyleTraining) -> list[int]:
    """Return the steps at which the history gets a row, including the last."""
    return [*range(settings.preview_every, settings.steps, settings.preview_every), settings.steps]


def learning_rate(step: int, settings: StyleTraining) -> float:
    """Return the learning rate of a step: linear warm-up over 50 steps, then cosine decay."""
    warm_up = min(1.0, (step + 1) / 50)
    fall = 0.5 * (1 + math.cos(math.pi * step / settings.steps))
    return settings.learning_rate * warm_up * (fall + 0.01)
