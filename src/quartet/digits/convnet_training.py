"""Training the convolutional network on augmented images.

SGD with Nesterov momentum under a linear one-cycle schedule (Smith and Topin
2019, arXiv:1708.07120); each image is shifted, rotated, scaled and sheared at
random. Weights and their updates are float32.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from quartet.digits.augmentation import augment, normalise
from quartet.digits.convnet import ConvNet, Weights
from quartet.digits.data import Digits
from quartet.digits.precision import compute_type, device
from quartet.digits.settings import ConvNetTraining

Facts = Mapping[str, Any]
OnEpoch = Callable[[dict[str, NDArray[Any]], dict[str, Any]], None]


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


def count_epochs(settings: ConvNetTraining, images: int) -> int:
    """Passes over a set of this many images: those asked for, or more to reach the least steps."""
    return max(settings.epochs, math.ceil(settings.minimum_steps / _steps(settings, images)))


def train(
    digits: Digits,
    settings: ConvNetTraining,
    learning_rate: float,
    length: int | None = None,
    resume_from: tuple[Weights, Facts] | None = None,
    on_epoch: OnEpoch = lambda arrays, facts: None,
) -> TrainedNetwork:
    """Train a network from scratch, or from where an earlier call was stopped.

    Args:
        digits: Training images and labels.
        settings: Batch size, augmentation and the rest.
        learning_rate: Peak of the one-cycle schedule.
        length: Epochs, if not those of the settings.
        resume_from: What `on_epoch` was given last; the remaining epochs give
            the same weights as an uninterrupted training.
        on_epoch: Called after each epoch with all state needed to go on.

    Returns:
        The weights and the history of all epochs.
    """
    last = length or count_epochs(settings, len(digits["labels"]))
    course = _Course(digits, settings, learning_rate, last)
    if resume_from is not None:
        course.restore(*resume_from)
    steps = _steps(settings, len(digits["labels"]))
    with (
        course.workers() as slices,
        tqdm(
            total=last * steps,
            initial=len(course.history) * steps,
            desc=f"training the network, learning rate {learning_rate:g}",
            unit="batch",
            disable=None,
        ) as bar,
    ):
        for epoch in range(len(course.history), last):
            course.run_epoch(epoch, slices, bar)
            on_epoch(course.state(), {"history": course.history})
    return TrainedNetwork(course.weights(), course.history)


class _Course:
    """One training under way: the network, its optimiser, the data, what has been done."""

    def __init__(
        self, digits: Digits, settings: ConvNetTraining, learning_rate: float, last: int
    ) -> None:
        self._settings, self._peak, self._last = settings, learning_rate, last
        self._device = device()
        with torch.random.fork_rng():  # the caller's random state is not ours to set
            torch.manual_seed(settings.seed)
            self._network = ConvNet(compute_type(self._device)).to(self._device)
        self._parameters = list(self._network.parameters())
        self._optimiser = _optimiser(self._network, settings)
        self._images = normalise(digits["images"]).to(self._device)
        self._labels = torch.tensor(digits["labels"].astype(np.int64), device=self._device)
        self.history: list[dict[str, float]] = []

    @contextmanager
    def workers(self) -> Iterator[_Slices]:
        """Threads that each take one slice of every batch.

        On a CPU two slices run side by side, each on one core. Threads inside
        the layers would meet at a barrier per layer, where they spin: ruinous
        beside any other busy process. Two, whatever the machine, so that the
        numbers are the same everywhere.
        """
        if self._device.type != "cpu":
            yield _Slices([self._network], map)
            return
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            with ThreadPoolExecutor(2, initializer=torch.set_num_threads, initargs=(1,)) as pool:
                yield _Slices([self._network, _twin(self._network)], pool.map)
        finally:
            torch.set_num_threads(threads)

    def run_epoch(self, epoch: int, slices: _Slices, bar: Any) -> None:
        """One pass over the shuffled images, all of its chance from seed and epoch."""
        start = time.perf_counter()
        settings = self._settings
        generators = [
            torch.Generator().manual_seed(int(seed))
            for seed in np.random.SeedSequence([settings.seed, epoch]).generate_state(
                len(slices.networks) + 1
            )
        ]
        order = torch.randperm(len(self._labels), generator=generators.pop())
        steps = _steps(settings, len(self._labels))
        size = min(settings.batch_size, len(self._labels))
        total = torch.zeros((), device=self._device)
        for network in slices.networks:
            network.train()
        for step in range(steps):
            for group in self._optimiser.param_groups:
                group["lr"] = self._rate((epoch + step / steps) / self._last)
            rows = order[step * size : (step + 1) * size]
            results = slices.run(self._gradient, slices.networks, generators, _cut(rows, slices))
            total += self._update(list(results))
            bar.update()
        self.history.append(
            {
                "epoch": epoch + 1,
                "training_loss": float(total) / steps,
                "learning_rate": self._rate((epoch + 1) / self._last),
                "seconds": time.perf_counter() - start,
            }
        )

    def _gradient(
        self, network: ConvNet, generator: torch.Generator, rows: Tensor
    ) -> tuple[int, Tensor, tuple[Tensor, ...]]:
        """Size, mean loss and its gradient of one slice of a batch, freshly augmented."""
        rows = rows.to(self._device)
        images = augment(self._images[rows], self._settings, generator)
        loss = F.cross_entropy(
            network(images), self._labels[rows], label_smoothing=self._settings.label_smoothing
        )
        return len(rows), loss.detach(), torch.autograd.grad(loss, self._parameters)

    def _update(self, slices: list[tuple[int, Tensor, tuple[Tensor, ...]]]) -> Tensor:
        """Step along the mean gradient of the slices; the mean loss."""
        size = sum(part for part, _, _ in slices)
        for index, parameter in enumerate(self._parameters):
            parts = [gradients[index] * (part / size) for part, _, gradients in slices]
            parameter.grad = torch.stack(parts).sum(dim=0) if len(parts) > 1 else parts[0]
        self._optimiser.step()
        return torch.stack([loss * (part / size) for part, loss, _ in slices]).sum()

    def _rate(self, progress: float) -> float:
        """The learning rate: up in a line during warm-up, then down to zero."""
        warm_up = self._settings.warm_up
        if progress < warm_up:
            return self._peak * (0.05 + 0.95 * progress / warm_up)
        return self._peak * (1 - progress) / (1 - warm_up)

    def weights(self) -> dict[str, NDArray[Any]]:
        """Parameters and running statistics by name."""
        state = self._network.state_dict()
        return {name: tensor.cpu().numpy().copy() for name, tensor in state.items()}

    def state(self) -> dict[str, NDArray[Any]]:
        """Weights, and each parameter's momentum, as arrays."""
        momenta = {
            f"momentum.{name}": self._optimiser.state[parameter]["momentum_buffer"].cpu().numpy()
            for name, parameter in self._network.named_parameters()
        }
        return self.weights() | momenta

    def restore(self, state: Weights, facts: Facts) -> None:
        """Go back to what `state` told."""
        tensors = {name: torch.tensor(array) for name, array in state.items()}
        for name, parameter in self._network.named_parameters():
            momentum = tensors.pop(f"momentum.{name}").to(self._device)
            self._optimiser.state[parameter]["momentum_buffer"] = momentum
        self._network.load_state_dict(tensors)
        self.history = list(facts["history"])


@dataclass(frozen=True)
class _Slices:
    """Networks that share their parameters, one a slice, and how to run them side by side."""

    networks: list[ConvNet]
    run: Callable[..., Any]


def _cut(rows: Tensor, slices: _Slices) -> tuple[Tensor, ...]:
    return rows.tensor_split(len(slices.networks))


def _twin(network: ConvNet) -> ConvNet:
    """Return a copy that shares the parameters, but not the statistics, which threads write."""
    return copy.deepcopy(network, {id(shared): shared for shared in network.parameters()})


def _optimiser(network: ConvNet, settings: ConvNetTraining) -> torch.optim.Optimizer:
    """SGD; decay pulls on the weights alone, not on biases and normalisation."""
    matrices = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in network.parameters() if parameter.ndim == 1]
    groups = [
        {"params": matrices, "weight_decay": settings.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.SGD(groups, lr=0.0, momentum=settings.momentum, nesterov=True, foreach=True)


def _steps(settings: ConvNetTraining, images: int) -> int:
    """Batches in one pass; images left over wait for the next shuffle."""
    return max(1, images // settings.batch_size)
