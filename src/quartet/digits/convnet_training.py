"""Training of the convolutional network on augmented images.

SGD with Nesterov momentum and a linear one-cycle schedule (Smith and Topin
2019, arXiv:1708.07120). Each image is shifted, rotated, scaled and sheared at
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

from quartet.digits.augmentation import augment, find_margin, normalise
from quartet.digits.convnet import ConvNet, Weights
from quartet.digits.data import Digits, list_classes
from quartet.digits.precision import select_compute_dtype, select_device
from quartet.digits.settings import ConvNetTraining

_LOGIT_SCALE = 0.25
"""Factor of the logits. Without it the linear layer, of 1152 inputs and without normalisation,
diverges in the first steps at the learning rates that suit the convolutions."""

Facts = Mapping[str, Any]
OnEpoch = Callable[[dict[str, NDArray[Any]], dict[str, Any]], None]


@dataclass(frozen=True)
class TrainedNetwork:
    """Weights and history of a finished training."""

    weights: Weights
    history: list[dict[str, float]]
    """One entry per epoch: `epoch`, `training_loss`, `learning_rate`, `seconds`."""

    @property
    def seconds(self) -> float:
        """Training time of all epochs, including those before an interruption."""
        return sum(epoch["seconds"] for epoch in self.history)


def count_epochs(settings: ConvNetTraining, images: int) -> int:
    """Return the epochs to train for: `settings.epochs`, or more to reach `minimum_steps`."""
    steps = _steps_per_epoch(settings, images)
    return max(settings.epochs, math.ceil(settings.minimum_steps / steps))


def train(
    digits: Digits,
    settings: ConvNetTraining,
    learning_rate: float,
    epochs: int | None = None,
    resume_from: tuple[Weights, Facts] | None = None,
    on_epoch: OnEpoch = lambda arrays, facts: None,
) -> TrainedNetwork:
    """Train a network from scratch, or resume an interrupted training.

    Args:
        digits: Training images and labels.
        settings: Batch size, augmentation and other hyperparameters.
        learning_rate: Peak of the one-cycle schedule.
        epochs: Number of epochs; by default `count_epochs` of the settings.
        resume_from: The last arguments of `on_epoch`. The resumed training ends with
            the same weights as an uninterrupted one.
        on_epoch: Called after each epoch with the state needed to resume.
    """
    epochs = epochs or count_epochs(settings, len(digits["labels"]))
    trainer = _Trainer(digits, settings, learning_rate, epochs)
    if resume_from is not None:
        trainer.restore(*resume_from)
    steps = _steps_per_epoch(settings, len(digits["labels"]))
    with (
        trainer.workers() as workers,
        tqdm(
            total=epochs * steps,
            initial=len(trainer.history) * steps,
            desc=f"training the network, learning rate {learning_rate:g}",
            unit="batch",
            disable=None,
        ) as bar,
    ):
        for epoch in range(len(trainer.history), epochs):
            trainer.run_epoch(epoch, workers, bar)
            on_epoch(trainer.state(), {"history": trainer.history})
    return TrainedNetwork(trainer.weights(), trainer.history)


class _Trainer:
    """The network, its optimiser, the data and the history of a training."""

    def __init__(
        self, digits: Digits, settings: ConvNetTraining, peak_rate: float, epochs: int
    ) -> None:
        self._settings, self._peak_rate, self._epochs = settings, peak_rate, epochs
        self._device = select_device()
        with torch.random.fork_rng():  # leaves the caller's random state unchanged
            torch.manual_seed(settings.seed)
            dtype, classes = select_compute_dtype(self._device), len(list_classes(digits))
            self._network = ConvNet(dtype, classes).to(self._device)
        self._parameters = list(self._network.parameters())
        self._optimiser = _optimiser(self._network, settings)
        self._margin = find_margin(digits)
        self._images = normalise(digits["images"]).to(self._device)
        self._labels = torch.tensor(digits["labels"].astype(np.int64), device=self._device)
        self.history: list[dict[str, float]] = []

    @contextmanager
    def workers(self) -> Iterator[_Workers]:
        """Start the threads that each process one slice of every batch.

        On a CPU two slices run in parallel, one per core. Threads inside the layers
        would spin at a barrier in each layer, which is very slow beside any other busy
        process. Always two threads, so that results are the same on every machine.
        """
        if self._device.type != "cpu":
            yield _Workers([self._network], map)
            return
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            with ThreadPoolExecutor(2, initializer=torch.set_num_threads, initargs=(1,)) as pool:
                yield _Workers([self._network, _clone(self._network)], pool.map)
        finally:
            torch.set_num_threads(threads)

    def run_epoch(self, epoch: int, workers: _Workers, bar: Any) -> None:
        """Train for one epoch; its randomness depends on seed and epoch only."""
        start = time.perf_counter()
        settings = self._settings
        generators = [
            torch.Generator().manual_seed(int(seed))
            for seed in np.random.SeedSequence([settings.seed, epoch]).generate_state(
                len(workers.networks) + 1
            )
        ]
        order = torch.randperm(len(self._labels), generator=generators.pop())
        steps = _steps_per_epoch(settings, len(self._labels))
        size = min(settings.batch_size, len(self._labels))
        total = torch.zeros((), device=self._device)
        for network in workers.networks:
            network.train()
        for step in range(steps):
            for group in self._optimiser.param_groups:
                group["lr"] = self._learning_rate((epoch + step / steps) / self._epochs)
            rows = order[step * size : (step + 1) * size]
            slices = rows.tensor_split(len(workers.networks))
            results = workers.map(self._gradient, workers.networks, generators, slices)
            total += self._update(list(results))
            bar.update()
        self.history.append(
            {
                "epoch": epoch + 1,
                "training_loss": float(total) / steps,
                "learning_rate": self._learning_rate((epoch + 1) / self._epochs),
                "seconds": time.perf_counter() - start,
            }
        )

    def _gradient(
        self, network: ConvNet, generator: torch.Generator, rows: Tensor
    ) -> tuple[int, Tensor, tuple[Tensor, ...]]:
        """Return size, mean loss and gradient of one augmented slice of a batch."""
        rows = rows.to(self._device)
        images = augment(self._images[rows], self._settings, generator, self._margin)
        loss = F.cross_entropy(
            network(images) * _LOGIT_SCALE,
            self._labels[rows],
            label_smoothing=self._settings.label_smoothing,
        )
        return len(rows), loss.detach(), torch.autograd.grad(loss, self._parameters)

    def _update(self, slices: list[tuple[int, Tensor, tuple[Tensor, ...]]]) -> Tensor:
        """Update the parameters by the mean gradient of the slices; return the mean loss."""
        batch_size = sum(size for size, _, _ in slices)
        for index, parameter in enumerate(self._parameters):
            parts = [gradients[index] * (size / batch_size) for size, _, gradients in slices]
            parameter.grad = torch.stack(parts).sum(dim=0) if len(parts) > 1 else parts[0]
        self._optimiser.step()
        return torch.stack([loss * (size / batch_size) for size, loss, _ in slices]).sum()

    def _learning_rate(self, progress: float) -> float:
        """Return the rate of the schedule: linear warm-up, then linear decay to zero."""
        warm_up = self._settings.warm_up
        if progress < warm_up:
            return self._peak_rate * (0.05 + 0.95 * progress / warm_up)
        return self._peak_rate * (1 - progress) / (1 - warm_up)

    def weights(self) -> dict[str, NDArray[Any]]:
        """Return parameters and running statistics by name, and the margin."""
        arrays = self._arrays()
        for name in ("head.weight", "head.bias"):
            arrays[name] *= _LOGIT_SCALE  # exact, being a power of two
        return arrays | {"margin": np.array(self._margin)}

    def state(self) -> dict[str, NDArray[Any]]:
        """Return parameters, running statistics and each parameter's momentum buffer."""
        momenta = {
            f"momentum.{name}": self._optimiser.state[parameter]["momentum_buffer"].cpu().numpy()
            for name, parameter in self._network.named_parameters()
        }
        return self._arrays() | momenta

    def _arrays(self) -> dict[str, NDArray[Any]]:
        state = self._network.state_dict()
        return {name: tensor.cpu().numpy().copy() for name, tensor in state.items()}

    def restore(self, state: Weights, facts: Facts) -> None:
        """Restore the result of `state` and the history."""
        tensors = {name: torch.tensor(array) for name, array in state.items()}
        for name, parameter in self._network.named_parameters():
            momentum = tensors.pop(f"momentum.{name}").to(self._device)
            self._optimiser.state[parameter]["momentum_buffer"] = momentum
        self._network.load_state_dict(tensors)
        self.history = list(facts["history"])


@dataclass(frozen=True)
class _Workers:
    """Networks with shared parameters, one per slice of a batch, and a parallel `map`."""

    networks: list[ConvNet]
    map: Callable[..., Any]


def _clone(network: ConvNet) -> ConvNet:
    """Copy the network except its parameters: each thread updates its own running statistics."""
    return copy.deepcopy(network, {id(shared): shared for shared in network.parameters()})


def _optimiser(network: ConvNet, settings: ConvNetTraining) -> torch.optim.Optimizer:
    """Return SGD with weight decay on the weights, not on biases and batch normalisation."""
    matrices = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in network.parameters() if parameter.ndim == 1]
    groups = [
        {"params": matrices, "weight_decay": settings.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.SGD(groups, lr=0.0, momentum=settings.momentum, nesterov=True, foreach=True)


def _steps_per_epoch(settings: ConvNetTraining, images: int) -> int:
    """Return the number of complete batches; the rest of the images is dropped."""
    return max(1, images // settings.batch_size)
