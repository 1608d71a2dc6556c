"""Teaching a network the style of one painting."""

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
from quartet.style.photographs import Photographs, Picture, batches_of_crops, scaled_to
from quartet.style.precision import compute_type, device
from quartet.style.settings import StyleTraining
from quartet.style.vgg import Vgg19

logger = logging.getLogger(__name__)

Arrays = Mapping[str, NDArray[Any]]
_MEAN_LEVEL = 120.0
_LEVELS = 30.0
"""Where a picture begins: about this grey, and deviations of about this size; 0 to 255 is far
from the small outputs that layers start with."""
_LONGEST_GRADIENT = 1.0
_MOST_LEFT_OUT = 20
"""Steps one after another."""
_LOSSES = ("content", "style", "roughness")
_SMALLEST_PAINTING = 32
_LONGEST_PAINTING = 8
"""Times its shorter side: beyond, a scaled painting would fill the memory."""

_Gradient = tuple[float, Tensor, tuple[Tensor, ...]]
"""Share of the batch, its three mean losses, and the gradient of their weighted sum."""


class Course:
    """One training under way, which can be stopped and gone on with at any step.

    After Johnson et al. (2016): crops of photographs are stylized, and the network
    learns from what VGG-19 sees in the result, the photograph and the painting.

    Args:
        painting: Shape (h, w, 3), uint8 RGB.
        photographs: By name, each of shape (h, w, 3), uint8 RGB.
        vgg_weights: Of VGG-19, see `quartet.style.vgg.Vgg19`.
        settings: Of the training.

    Attributes:
        step: Updates done.
        history: Mean losses since the last note, one row a note: `step`, `content`, `style`,
            `roughness`, the `learning_rate` at its end and the `seconds` of its updates.

    Raises:
        ValueError: The painting is too small or too long, there is no photograph, or the
            weights are not VGG-19's.
    """

    def __init__(
        self,
        painting: Picture,
        photographs: Photographs,
        vgg_weights: Mapping[str, Tensor],
        settings: StyleTraining,
    ) -> None:
        _check(painting, photographs)
        self.settings = settings
        self.step = 0
        self._left_out = 0
        self.history: list[dict[str, float]] = []
        self._photographs = photographs
        self._device = device()
        self._type = compute_type(self._device)
        layout: dict[str, Any] = {"device": self._device, "memory_format": torch.channels_last}
        self.network: StyleNetwork = _fresh_network(settings).to(**layout)
        self._parameters = list(self.network.parameters())
        vgg: Vgg19 = Vgg19(vgg_weights).to(**layout)
        self._loss = PerceptualLoss.of(
            vgg,
            self._tensor(scaled_to(painting, settings.painting_side)[None]),
            settings.style_layers,
            settings.content_layer,
        )
        self._optimiser = torch.optim.Adam(self._parameters, lr=settings.learning_rate)

    def run(self, keep: Callable[[Course], None]) -> None:
        """Train to the end, telling `keep` every `preview_every` steps and after the last.

        Raises:
            ValueError: A loss is no number any more, or no photograph can be read.
        """
        settings = self.settings
        crops = batches_of_crops(
            self._photographs,
            settings.batch_size,
            settings.crop,
            settings.seed,
            range(self.step, settings.steps),
        )
        noted, note = set(notes(settings)), _Note(self)
        with closing(crops), self._workers() as run, note.bar:
            for batch in crops:
                losses = self._update(batch, run)
                self.step += 1
                note.add(losses)
                if self.step in noted:
                    self.history.append(note.row())
                    keep(self)
                    note.begin()

    @contextmanager
    def _workers(self) -> Iterator[Callable[..., Any]]:
        """How to run the parts of a batch side by side: a `map`.

        On a CPU two threads each take half of a batch. Threads inside the layers would meet
        at a barrier per layer, where they spin: ruinous beside any other busy process. Two,
        whatever the machine, so that the numbers are the same everywhere.
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

    def _update(self, crops: Picture, run: Callable[..., Any]) -> NDArray[np.float64]:
        """One step of Adam; the three losses before their weights."""
        for group in self._optimiser.param_groups:
            group["lr"] = learning_rate(self.step, self.settings)
        parts = min(len(crops), 1 if run is map else 2)
        found: list[_Gradient] = list(run(self._gradient, np.array_split(crops, parts)))
        for index, parameter in enumerate(self._parameters):
            slices = [gradients[index] * share for share, _, gradients in found]
            parameter.grad = torch.stack(slices).sum(dim=0) if parts > 1 else slices[0]
        length = float(torch.nn.utils.clip_grad_norm_(self._parameters, _LONGEST_GRADIENT))
        losses = torch.stack([part * share for share, part, _ in found]).sum(dim=0).tolist()
        if math.isfinite(length):
            self._optimiser.step()
        self._check_numbers(losses, length)
        return np.array(losses)

    def _check_numbers(self, losses: list[float], length: float) -> None:
        """Raise where the training cannot go on.

        A gradient without end by itself is no such fault: a crop of a single colour, which
        instance normalisation divides by next to nothing, gives one. Its step is left out.
        """
        self._left_out = 0 if math.isfinite(length) else self._left_out + 1
        settings = self.settings
        sound = all(map(math.isfinite, losses))
        if sound and self._left_out < min(_MOST_LEFT_OUT, settings.steps):
            return
        told = ", ".join(f"{name} {value:g}" for name, value in zip(_LOSSES, losses, strict=True))
        raise ValueError(
            f"the training broke down at step {self.step + 1} ({told}, length of the gradient "
            f"{length:g}); lower style_training.learning_rate (now {settings.learning_rate:g}) or "
            f"the largest of the weights: content_weight (now {settings.content_weight:g}), "
            f"style_weight (now {settings.style_weight:g}), roughness_weight (now "
            f"{settings.roughness_weight:g})"
            + ("; or give photographs that show more than one colour" if sound else "")
        )

    def _gradient(self, crops: Picture) -> _Gradient:
        settings = self.settings
        pictures = self._tensor(crops)
        # Casts of the network's weights must not be shared by two threads.
        with torch.autocast(
            self._device.type,
            self._type,
            enabled=self._type != torch.float32,
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
        """The picture, shape (h, w, 3), as the network stylizes it now; sides cut to fours."""
        height, width = (size // 4 * 4 for size in picture.shape[:2])
        with torch.inference_mode():
            stylized = to_pictures(self.network(self._tensor(picture[None, :height, :width])))
        return stylized[0].permute(1, 2, 0).cpu().numpy()

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """The network's weights by name."""
        state = self.network.state_dict()
        return {name: tensor.cpu().contiguous().numpy().copy() for name, tensor in state.items()}

    def state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays and facts from which `restore` goes on."""
        arrays: dict[str, NDArray[Any]] = dict(self.weights())
        for name, parameter in self.network.named_parameters():
            for moment, value in self._optimiser.state[parameter].items():
                arrays[f"{moment}/{name}"] = value.cpu().contiguous().numpy().copy()
        return arrays, {"step": self.step, "history": self.history}

    def restore(self, arrays: Arrays, facts: Mapping[str, Any]) -> None:
        """Go back to what `state` told."""
        own = self.network.state_dict()
        self.network.load_state_dict({name: torch.tensor(arrays[name]) for name in own})
        for name, parameter in self.network.named_parameters():
            if f"step/{name}" not in arrays:  # no step has been taken yet
                continue
            moments = {
                moment: torch.tensor(arrays[f"{moment}/{name}"]).to(self._device)
                for moment in ("exp_avg", "exp_avg_sq")
            }
            # Files of arrays may give a single number back as a list of one; it stays on the CPU.
            count = torch.tensor(arrays[f"step/{name}"]).reshape(())
            self._optimiser.state[parameter] = {"step": count, **moments}
        self.step = int(facts["step"])
        self.history = list(facts["history"])

    def _tensor(self, pictures: Picture) -> Tensor:
        """(n, h, w, 3) uint8 → (n, 3, h, w) float32, channels last in memory."""
        # A view of what is already channels last: nothing is moved.
        return torch.tensor(pictures, device=self._device).permute(0, 3, 1, 2).float()


class _Note:
    """Losses since the last row of the history, and the line that shows them all the while."""

    def __init__(self, course: Course) -> None:
        self._course = course
        self.begin()
        self.bar = tqdm(
            total=course.settings.steps,
            initial=course.step,
            desc="learning the style",
            unit="step",
            disable=None,
        )

    def begin(self) -> None:
        self._sums = np.zeros(len(_LOSSES))
        self._since = self._course.step
        self._start = time.perf_counter()

    def add(self, losses: NDArray[np.float64]) -> None:
        self._sums += losses
        self.bar.set_postfix_str(_told(self._means()), refresh=False)
        self.bar.update()

    def row(self) -> dict[str, float]:
        course, means = self._course, self._means()
        seconds = time.perf_counter() - self._start
        if self.bar.disable:  # no terminal that shows the line
            each = seconds / (course.step - self._since)
            logger.info(
                "step %d of %d, %.2f s each: %s",
                *(course.step, course.settings.steps, each, _told(means)),
            )
        rate = learning_rate(course.step - 1, course.settings)
        return {"step": course.step, **means, "learning_rate": rate, "seconds": seconds}

    def _means(self) -> dict[str, float]:
        means = self._sums / (self._course.step - self._since)
        return dict(zip(_LOSSES, means.tolist(), strict=True))


def _told(losses: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in losses.items())


def _fresh_network(settings: StyleTraining) -> StyleNetwork:
    with torch.random.fork_rng(devices=[]):  # the caller's random state is not ours to set
        torch.manual_seed(settings.seed)
        network = StyleNetwork(settings.width)
    with torch.no_grad():
        network.deconv3.conv2d.weight *= _LEVELS
        network.deconv3.conv2d.bias = nn.Parameter(torch.full((3,), _MEAN_LEVEL))
    return network


def _check(painting: Picture, photographs: Photographs) -> None:
    height, width = painting.shape[:2]
    if min(height, width) < _SMALLEST_PAINTING:
        raise ValueError(
            f"the painting is {width} × {height} pixels, too few for a brush stroke; give one of "
            f"at least {_SMALLEST_PAINTING} on its shorter side, better 300 or more"
        )
    if max(height, width) > _LONGEST_PAINTING * min(height, width):
        raise ValueError(
            f"the painting is {width} × {height} pixels, more than {_LONGEST_PAINTING} times as "
            "long as wide; give a part of it"
        )
    if not photographs:
        raise ValueError("there is no photograph to learn on; give at least one")


def notes(settings: StyleTraining) -> list[int]:
    """The steps after which the history has a row, the last one included."""
    return [*range(settings.preview_every, settings.steps, settings.preview_every), settings.steps]


def learning_rate(step: int, settings: StyleTraining) -> float:
    """The rate of a step: up in a line over 50 steps, then down along half a cosine."""
    warm_up = min(1.0, (step + 1) / 50)
    fall = 0.5 * (1 + math.cos(math.pi * step / settings.steps))
    return settings.learning_rate * warm_up * (fall + 0.01)
