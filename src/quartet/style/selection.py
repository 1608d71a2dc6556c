"""Select the fastest form of a style network that is accurate enough on a CPU."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from quartet.style.inference import InferenceNetwork, residual_blocks
from quartet.style.network import StyleNetwork
from quartet.style.precision import select_dtype
from quartet.style.quantised import QuantisedNetwork

MAX_ERROR = 2.0
"""Root mean square of the difference from float32, levels."""
_PHOTOGRAPHS = ("china.jpg", "flower.jpg")
"""Photographs of scikit-learn: blurred and dark areas, in which errors are largest, and texture."""


def select_network(network: StyleNetwork) -> QuantisedNetwork | InferenceNetwork:
    """Return the network in 8-bit integers, with as few layers in bfloat16 as necessary.

    They suffice if the error on each of two photographs is at most `MAX_ERROR`. The
    photographs are always the same, and computed in one thread: so every process that stylizes
    a part of a video selects the same, whatever the video, and nothing has to be stored.

    Args:
        network: Network in evaluation mode, on a CPU that multiplies 8-bit integers natively.

    Returns:
        The first of the forms with 0 to 5 residual blocks in bfloat16 that suffices, otherwise
        the form without integers.
    """
    photographs = _load_photographs()
    exact = InferenceNetwork(network, torch.float32)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            expected = [exact(picture).float() for picture in photographs]
            for blocks in range(len(residual_blocks(network)) + 1):
                candidate = QuantisedNetwork(network, blocks)
                pairs = zip(photographs, expected, strict=True)
                if all(_error(candidate(picture), best) <= MAX_ERROR for picture, best in pairs):
                    return candidate
    finally:
        torch.set_num_threads(threads)
    return InferenceNetwork(network, select_dtype(torch.device("cpu")))


def _load_photographs() -> list[Tensor]:
    """Return photographs of shape (1, h, w, 3), uint8."""
    found = find_spec("sklearn")  # importing it would take longer than the selection
    assert found is not None and found.origin is not None
    folder = Path(found.origin).parent / "datasets/images"
    pictures = []
    for name in _PHOTOGRAPHS:
        with Image.open(folder / name) as picture:
            pictures.append(torch.tensor(np.asarray(picture.convert("RGB")))[None])
    return pictures


def _error(made: Tensor, expected: Tensor) -> float:
    return float((made.float() - expected).square().mean().sqrt())
