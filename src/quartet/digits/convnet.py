"""A small convolutional network for digits, trained on augmented images.

Three 3 x 3 convolutions with batch normalisation, of which the first sees the
image folded to a quarter of its size, so that no layer works at 28 x 28: 13
MFLOP an image. SGD with Nesterov momentum under a linear one-cycle schedule
(Smith and Topin 2019); each batch is shifted, rotated, scaled and sheared at
random, in one grid sampling. Matrix work is done in bfloat16 where the machine
has instructions for it, weights and statistics stay float32.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from quartet.digits.data import CLASSES, SIDE, Digits, Images
from quartet.digits.settings import ConvNetTraining

Weights = Mapping[str, NDArray[Any]]
"""Parameters and running statistics of `ConvNet` by name."""
Facts = Mapping[str, Any]
OnEpoch = Callable[[dict[str, NDArray[Any]], dict[str, Any]], None]

_MEAN, _DEVIATION = 0.1307, 0.3081
"""Of MNIST's training pixels, as grey levels 0 to 1."""
_PAPER = -_MEAN / _DEVIATION
"""What an empty pixel becomes when normalised."""
_BATCH_TO_PREDICT = 500


class ConvNet(nn.Module):
    """Digit logits, shape (n, 10), from normalised images of shape (n, 1, 28, 28)."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution_1 = nn.Conv2d(4, 32, 3, padding=1, bias=False)
        self.norm_1 = nn.BatchNorm2d(32)
        self.convolution_2 = nn.Conv2d(32, 64, 3, padding=1, bias=False)
        self.norm_2 = nn.BatchNorm2d(64)
        self.convolution_3 = nn.Conv2d(64, 96, 3, padding=1, bias=False)
        self.norm_3 = nn.BatchNorm2d(96)
        self.head = nn.Linear(96 * 3 * 3, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = F.pixel_unshuffle(x, 2).contiguous(memory_format=torch.channels_last)
        x = F.relu(self.norm_1(self.convolution_1(x)))
        x = F.relu(self.norm_2(F.max_pool2d(self.convolution_2(x), 2)))
        x = F.max_pool2d(F.relu(self.norm_3(self.convolution_3(x))), 2)
        logits: Tensor = self.head(x.flatten(1))
        return logits


@dataclass(frozen=True)
class TrainedNetwork:
    """What a training leaves behind."""

    weights: Weights
    history: list[dict[str, float]]
    """One entry an epoch: `epoch`, `training_loss`, `learning_rate`, `seconds`."""

    @property
    def seconds(self) -> float:
        """Time spent in all epochs, those before an interruption included."""
        return sum(epoch["seconds"] for epoch in self.history)


def train(
    digits: Digits,
    settings: ConvNetTraining,
    learning_rate: float,
    resume_from: tuple[Weights, Facts] | None = None,
    on_epoch: OnEpoch = lambda arrays, facts: None,
) -> TrainedNetwork:
    """Train a network from scratch, or from where an earlier call was stopped.

    Args:
        digits: Training images and labels.
        settings: Epochs, batch size, augmentation and the rest.
        learning_rate: Peak of the one-cycle schedule.
        resume_from: What `on_epoch` was given last; the remaining epochs give
            the same weights as an uninterrupted training.
        on_epoch: Called after each epoch with all state needed to go on.

    Returns:
        The weights and the history of all epochs.
    """
    device = _device()
    with _reproducible(settings.seed):
        network = ConvNet().to(device, memory_format=torch.channels_last)
    optimiser = _optimiser(network, settings)
    history: list[dict[str, float]] = []
    if resume_from is not None:
        arrays, facts = resume_from
        _restore(network, optimiser, arrays)
        history = list(facts["history"])
    images, labels = _normalised(digits["images"]), torch.from_numpy(digits["labels"]).long()
    steps = max(1, len(labels) // settings.batch_size)
    with tqdm(
        total=settings.epochs * steps,
        initial=len(history) * steps,
        desc=f"training the convolutional network, learning rate {learning_rate:g}",
        unit="batch",
        disable=None,
    ) as bar:
        for epoch in range(len(history), settings.epochs):
            start = time.perf_counter()
            loss = _train_epoch(
                network, optimiser, images, labels, settings, learning_rate, epoch, bar
            )
            history.append(
                {
                    "epoch": epoch + 1,
                    "training_loss": loss,
                    "learning_rate": learning_rate
                    * _schedule((epoch + 1) / settings.epochs, settings.warm_up),
                    "seconds": time.perf_counter() - start,
                }
            )
            on_epoch(_state(network, optimiser), {"history": history})
    return TrainedNetwork(_weights(network), history)


def probabilities(weights: Weights, images: Images) -> NDArray[np.float32]:
    """Class probabilities, shape (n, 10), rows summing to 1."""
    device = _device()
    network = ConvNet()
    network.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    network.to(device, memory_format=torch.channels_last).eval()
    shares = np.empty((len(images), CLASSES), dtype=np.float32)
    with torch.inference_mode(), _mixed_precision(device):
        for start in range(0, len(images), _BATCH_TO_PREDICT):
            batch = slice(start, start + _BATCH_TO_PREDICT)
            logits = network(_normalised(images[batch]).to(device)).float()
            shares[batch] = torch.softmax(logits, dim=1).cpu().numpy()
    return shares


def augment(images: Tensor, settings: ConvNetTraining, generator: torch.Generator) -> Tensor:
    """Move, turn, stretch and slant each image at random, by bilinear sampling.

    Args:
        images: Normalised, shape (n, 1, 28, 28).
        settings: How far each change may go.
        generator: Draws the changes, all uniform and independent.
    """

    def draw(reach: float) -> Tensor:
        return (torch.rand(len(images), generator=generator) * 2 - 1) * reach

    turn = draw(math.radians(settings.rotation_degrees))
    wide, high = 1 + draw(settings.scaling), 1 + draw(settings.scaling)
    slant = draw(settings.shear)
    across, down = draw(2 * settings.shift_pixels / SIDE), draw(2 * settings.shift_pixels / SIDE)
    rows = (
        torch.stack([turn.cos() * wide, slant - turn.sin() * high, across], dim=1),
        torch.stack([turn.sin() * wide, turn.cos() * high, down], dim=1),
    )
    grid = F.affine_grid(torch.stack(rows, dim=1), list(images.shape), align_corners=False)
    # Sampling fills what comes in from outside with zero, so paper is made zero meanwhile.
    return F.grid_sample(images - _PAPER, grid, align_corners=False) + _PAPER


def _train_epoch(
    network: ConvNet,
    optimiser: torch.optim.Optimizer,
    images: Tensor,
    labels: Tensor,
    settings: ConvNetTraining,
    learning_rate: float,
    epoch: int,
    bar: Any,
) -> float:
    """One pass over the shuffled images; the mean loss."""
    device = _device()
    generator = torch.Generator().manual_seed(settings.seed + 1000 * (epoch + 1))
    order = torch.randperm(len(labels), generator=generator)
    steps = max(1, len(labels) // settings.batch_size)
    network.train()
    total = torch.zeros((), device=device)
    for step in range(steps):
        rate = learning_rate * _schedule((epoch + step / steps) / settings.epochs, settings.warm_up)
        for group in optimiser.param_groups:
            group["lr"] = rate
        rows = order[step * settings.batch_size : (step + 1) * settings.batch_size]
        batch = augment(images[rows], settings, generator).to(device)
        with _mixed_precision(device):
            logits = network(batch)
        loss = F.cross_entropy(
            logits.float(), labels[rows].to(device), label_smoothing=settings.label_smoothing
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        total += loss.detach()
        bar.update()
    return float(total) / steps


def _schedule(progress: float, warm_up: float) -> float:
    """Share of the peak learning rate: up in a line during warm-up, then down to zero."""
    if progress < warm_up:
        return 0.05 + 0.95 * progress / warm_up
    return (1 - progress) / (1 - warm_up)


def _optimiser(network: ConvNet, settings: ConvNetTraining) -> torch.optim.Optimizer:
    """SGD; decay pulls on the weights alone, not on biases and normalisation."""
    matrices = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in network.parameters() if parameter.ndim == 1]
    groups = [
        {"params": matrices, "weight_decay": settings.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.SGD(groups, lr=0.1, momentum=settings.momentum, nesterov=True)


def _normalised(images: Images) -> Tensor:
    """Float32 of zero mean and unit variance over MNIST, shape (n, 1, 28, 28)."""
    return ((torch.from_numpy(images).float() / 255 - _MEAN) / _DEVIATION)[:, None]


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@contextmanager
def _mixed_precision(device: torch.device) -> Iterator[None]:
    """bfloat16 where the hardware multiplies it natively; float32 elsewhere."""
    with torch.autocast(device.type, torch.bfloat16, enabled=_has_bfloat16(device)):
        yield


def _has_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


@contextmanager
def _reproducible(seed: int) -> Iterator[None]:
    """Draw initial weights from the seed, leaving the caller's random state alone."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def _weights(network: ConvNet) -> dict[str, NDArray[Any]]:
    return {name: tensor.cpu().numpy().copy() for name, tensor in network.state_dict().items()}


def _state(network: ConvNet, optimiser: torch.optim.Optimizer) -> dict[str, NDArray[Any]]:
    """Weights, and each parameter's momentum, as arrays."""
    momenta = {
        f"momentum.{name}": optimiser.state[parameter]["momentum_buffer"].cpu().numpy().copy()
        for name, parameter in network.named_parameters()
    }
    return _weights(network) | momenta


def _restore(network: ConvNet, optimiser: torch.optim.Optimizer, state: Weights) -> None:
    tensors = {name: torch.from_numpy(array.copy()) for name, array in state.items()}
    for name, parameter in network.named_parameters():
        momentum = tensors.pop(f"momentum.{name}").to(parameter.device)
        optimiser.state[parameter]["momentum_buffer"] = momentum
    network.load_state_dict(tensors)
