"""Draw a detail of the sample in the precisions of the network, with the differences.

`python -m generators.style_precisions FILE`, run in `docs` on a CPU with AVX512-VNNI, writes the
picture and prints the differences from float32 over the complete frame.
"""

from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path

import av
import matplotlib.pyplot as plt
import numpy as np
from safetensors.numpy import load_file

from quartet.style.stylizer import Stylizer, detect_platform
from quartet.style.transfer_settings import Stylizing

PROJECT = Path(__file__).parents[2]
FRAME = 20
ROWS, COLUMNS = slice(40, 220), slice(20, 260)
GAIN = 16
"""Factor of the differences."""


def draw(target: Path) -> dict[str, float]:
    """Write the picture, and return the RMS difference from float32 by precision, levels."""
    with av.open(str(PROJECT / "data/01_raw/style/sample.mp4")) as video:
        (frame,) = islice(video.decode(video=0), FRAME, FRAME + 1)
        source = frame.to_ndarray(format="rgb24")
    weights = load_file(PROJECT / "data/06_models/style/starry_night.safetensors")
    pictures, errors = {}, {}
    for precision in ("float32", "bfloat16", "int8"):
        settings = Stylizing(precision=precision)
        with Stylizer(weights, settings, detect_platform(settings)) as stylizer:
            pictures[precision] = stylizer.stylize(source).astype(np.float32)
        difference = pictures[precision] - pictures["float32"]
        errors[precision] = float(np.sqrt(np.mean(difference**2)))
    figure, axes = plt.subplots(2, 3, figsize=(9, 5), layout="constrained")
    for column, (precision, picture) in enumerate(pictures.items()):
        difference = GAIN * (picture - pictures["float32"])
        axes[0, column].imshow(picture[ROWS, COLUMNS] / 255)
        axes[0, column].set_title(precision, size=10)
        axes[1, column].imshow(np.clip(128 + difference[ROWS, COLUMNS], 0, 255) / 255)
        axes[1, column].set_title(
            f"{GAIN} × difference, RMS {errors[precision]:.2f} levels", size=10
        )
    axes[1, 0].imshow(source[ROWS, COLUMNS])
    axes[1, 0].set_title("source", size=10)
    for axis in axes.flat:
        axis.set_axis_off()
    figure.savefig(target, dpi=100, pil_kwargs={"quality": 85} if target.suffix == ".webp" else {})
    return errors


if __name__ == "__main__":
    print(draw(Path(sys.argv[1])))
