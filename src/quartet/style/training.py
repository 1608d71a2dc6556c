"""Teaching a network the style of one painting."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from quartet.style.network import StyleNetwork, to_pictures
from quartet.style.perception import PerceptualLoss, Vgg19
from quartet.style.photographs import Picture, random_crops, scaled_to
from quartet.style.precision import compute_type, device
from quartet.style.settings import StyleTraining

Arrays = Mapping[str, NDArray[Any]]
_MEAN_LEVEL = 120.0
_LEVELS = 30.0
"""Where a picture begins: about this grey, and deviations of about this size; 0 to 255 is far
from the small outputs that layers start with."""
_LONGEST_GRADIENT = 1.0
_LOSSES = ("content", "style", "roughness")


class Course:
    """One training under way, which can be stopped and gone on with at any step.

    After Johnson et al. (2016): crops of photographs are restyled, and the network
    learns from what VGG-19 sees in the result, the photograph and the painting.

    Args:
        painting: Shape (h, w, 3), uint8 RGB.
        photographs: Each of shape (h, w, 3), uint8 RGB.
        vgg_weights: Of VGG-19, see `quartet.style.perception.Vgg19`.
        settings: Of the training.

    Attributes:
        step: Updates done.
        history: Mean losses since the last note, one row a note.
    """

    def __init__(
        self,
        painting: Picture,
        photographs: Sequence[Picture],
        vgg_weights: Mapping[str, Tensor],
        settings: StyleTraining,
    ) -> None:
        self.settings = settings
        self.step = 0
        self.history: list[dict[str, float]] = []
        self._photographs = photographs
        self._device = device()
        self._type = compute_type(self._device)
        with torch.random.fork_rng():  # the caller's random state is not ours to set
            torch.manual_seed(settings.seed)
            network = StyleNetwork(settings.width)
        with torch.no_grad():
            network.deconv3.conv2d.weight *= _LEVELS
            network.deconv3.conv2d.bias = nn.Parameter(torch.full((3,), _MEAN_LEVEL))
        layout: dict[str, Any] = {"device": self._device, "memory_format": torch.channels_last}
        self.network: StyleNetwork = network.to(**layout)
        vgg: Vgg19 = Vgg19(vgg_weights).to(**layout)
        self._loss = PerceptualLoss.of(
            vgg,
            self._tensor(scaled_to(painting, settings.painting_side)[None]),
            settings.style_layers,
            settings.content_layer,
        )
        self._optimiser = torch.optim.Adam(self.network.parameters(), lr=settings.learning_rate)

    def run(self, keep: Callable[[Course], None]) -> None:
        """Train to the end, telling `keep` every `preview_every` steps and after the last."""
        settings = self.settings
        bar = tqdm(total=settings.steps, initial=self.step, desc="learning the style", disable=None)
        sums = np.zeros(len(_LOSSES))
        since = self.step
        with bar:
            while self.step < settings.steps:
                sums += self._update()
                self.step += 1
                bar.update()
                if self.step % settings.preview_every == 0 or self.step == settings.steps:
                    means = dict(zip(_LOSSES, sums / (self.step - since), strict=True))
                    self.history.append({"step": self.step, **means})
                    bar.set_postfix({name: f"{value:.3f}" for name, value in means.items()})
                    sums, since = np.zeros(len(_LOSSES)), self.step
                    keep(self)

    def _update(self) -> NDArray[np.float64]:
        """One step of Adam; the three losses before their weights."""
        settings = self.settings
        for group in self._optimiser.param_groups:
            group["lr"] = learning_rate(self.step, settings)
        # A generator a step: a training that was stopped goes on with the same crops.
        generator = np.random.default_rng([settings.seed, self.step])
        crops = random_crops(self._photographs, settings.batch_size, settings.crop, generator)
        pictures = self._tensor(crops)
        lowered = self._type != torch.float32
        with torch.autocast(self._device.type, self._type) if lowered else nullcontext():
            losses = self._loss(self.network(pictures).float(), pictures)
        total = (
            settings.content_weight * losses.content
            + settings.style_weight * losses.style
            + settings.roughness_weight * losses.roughness
        )
        self._optimiser.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), _LONGEST_GRADIENT)
        self._optimiser.step()
        return np.array([getattr(losses, name).item() for name in _LOSSES])

    def restyle(self, picture: Picture) -> Picture:
        """The picture, shape (h, w, 3), as the network restyles it now; sides cut to fours."""
        height, width = (size // 4 * 4 for size in picture.shape[:2])
        with torch.inference_mode():
            restyled = to_pictures(self.network(self._tensor(picture[None, :height, :width])))
        return restyled[0].permute(1, 2, 0).cpu().numpy()

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """The network's weights by name."""
        state = self.network.state_dict()
        return {name: tensor.cpu().contiguous().numpy() for name, tensor in state.items()}

    def state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays and facts from which `restore` goes on."""
        arrays: dict[str, NDArray[Any]] = dict(self.weights())
        for name, parameter in self.network.named_parameters():
            for moment, value in self._optimiser.state[parameter].items():
                arrays[f"{moment}/{name}"] = value.cpu().contiguous().numpy()
        return arrays, {"step": self.step, "history": self.history}

    def restore(self, arrays: Arrays, facts: Mapping[str, Any]) -> None:
        """Go back to what `state` told."""
        own = self.network.state_dict()
        self.network.load_state_dict({name: torch.tensor(arrays[name]) for name in own})
        for name, parameter in self.network.named_parameters():
            self._optimiser.state[parameter] = {
                moment: torch.tensor(arrays[f"{moment}/{name}"]).to(
                    self._device if moment != "step" else "cpu"
                )
                for moment in ("step", "exp_avg", "exp_avg_sq")
            }
        self.step = int(facts["step"])
        self.history = list(facts["history"])

    def _tensor(self, pictures: Picture) -> Tensor:
        """(n, h, w, 3) uint8 → (n, 3, h, w) float32, channels last in memory."""
        # A view of what is already channels last: nothing is moved.
        return torch.tensor(pictures, device=self._device).permute(0, 3, 1, 2).float()


def learning_rate(step: int, settings: StyleTraining) -> float:
    """The rate of a step: up in a line over 50 steps, then down along half a cosine."""
    warm_up = min(1.0, (step + 1) / 50)
    fall = 0.5 * (1 + math.cos(math.pi * step / settings.steps))
    return settings.learning_rate * warm_up * (fall + 0.01)
