"""Measure the style network on a GPU: python tests/benchmarks/gpu.py

Needs PyTorch and NumPy only; with the libraries of style transfer, a video is also decoded,
stylized and encoded as in the pipeline. Prints one JSON object a line, in under five minutes.
Without a GPU it runs on the CPU, which only shows that the script works.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import cycle, islice
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

SOURCE = Path(__file__).parents[2] / "src"
LARGEST_ERROR = 2.0
"""Levels RMS between half precision and float32."""
HALF_BYTES = 2
COPIED_BYTES = 1 << 30
FRAMES = 8
LANES = 3
"""Frames at once, as in the pipeline."""
SEGMENT_FRAMES = 32
TIMEOUT_S = 60
LIBRARIES = ("PIL", "av", "psutil", "pydantic", "scipy", "tqdm")
"""Libraries of style transfer."""

Frames = Iterator[np.ndarray]
Compute = Callable[[Tensor], Tensor]


def import_network() -> None:
    """Make the network's modules importable without their packages' libraries."""
    for name in ("quartet", "quartet.style"):
        package = ModuleType(name)
        package.__path__ = [str(SOURCE.joinpath(*name.split(".")))]
        sys.modules[name] = package


def make_network(width: int) -> nn.Module:
    """Return a network with random weights whose pictures use the range of levels."""
    from quartet.style.network import StyleNetwork

    torch.manual_seed(0)
    network = StyleNetwork(width).requires_grad_(False)
    network.deconv3.conv2d.weight *= 30
    network.deconv3.conv2d.bias += 120
    return network.eval()


def make_frames(count: int, height: int, width: int) -> list[np.ndarray]:
    """Return moving gradients with edges and noise, each of shape (h, w, 3), uint8."""
    generator = np.random.default_rng(0)
    rows, columns = np.mgrid[:height, :width]
    slope = np.stack([rows * 255 / height, columns * 255 / width, (rows + columns) % 97], -1)
    noise = generator.normal(0, 12, (height, width, 1))
    frames = []
    for index in range(count):
        frame = np.roll(slope, 8 * index, axis=1) + noise
        frames.append(np.clip(frame, 0, 255).astype(np.uint8))
    return frames


def make_lane(network: Any) -> Compute:
    """Return a function that stylizes batches in the memory of the CPU."""
    from quartet.style.gpu import GraphedNetwork

    return GraphedNetwork(network) if network.device.type == "cuda" else network


def stylize(lanes: list[Compute], frames: Frames) -> Frames:
    """Stylize frames, as many at once as there are lanes."""
    free: SimpleQueue[Compute] = SimpleQueue()
    for lane in lanes:
        free.put(lane)

    def run(frame: np.ndarray) -> np.ndarray:
        lane = free.get()
        stylized = lane(torch.from_numpy(frame)[None])[0].numpy()
        free.put(lane)
        return stylized

    pending: deque[Future[np.ndarray]] = deque()
    with ThreadPoolExecutor(len(lanes)) as pool:
        for frame in frames:
            pending.append(pool.submit(run, frame))
            if len(pending) > 2 * len(lanes):
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def write_video(path: Path, frames: Frames, height: int, width: int) -> None:
    """Encode frames with x264."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))


def stylize_share(
    path: Path, weights: dict[str, np.ndarray], rank: int, ranks: int, barrier: Barrier
) -> None:
    """Stylize a rank's share of the segments, after the first one to warm up."""
    import_network()
    from quartet.style.encoding_settings import Encoding
    from quartet.style.flow import stylize_segments
    from quartet.style.probe import plan_video
    from quartet.style.stylizer import Stylizer, detect_platform
    from quartet.style.transfer_settings import StyleTransfer, Stylizing

    settings, smoothing = Stylizing(), StyleTransfer().smoothing
    plan = plan_video(path, SEGMENT_FRAMES)
    firsts = [first for first, _ in plan.segments]
    with Stylizer(weights, settings, detect_platform(settings, ranks)) as stylizer:
        for share in (firsts[:1], firsts[rank::ranks]):
            stylize_segments(
                path, plan, share, stylizer, Encoding(), lambda *_: None, smoothing=smoothing
            )
            barrier.wait()


def measure_pipeline(path: Path, frames: int, network: nn.Module, ranks: int) -> float:
    """Return the frames per second at which ranks decode, stylize, smooth and encode a video."""
    weights = {name: value.cpu().numpy() for name, value in network.state_dict().items()}
    context = get_context("spawn")
    barrier = context.Barrier(ranks + 1, timeout=TIMEOUT_S)
    for rank in range(ranks):
        arguments = (path, weights, rank, ranks, barrier)
        context.Process(target=stylize_share, args=arguments, daemon=True).start()
    barrier.wait()
    begun = time.perf_counter()
    barrier.wait()
    return frames / (time.perf_counter() - begun)


def moved_bytes(network: nn.Module, height: int, width: int) -> int:
    """Return the bytes a frame moves if each layer reads its input and writes its output once."""
    total = 0

    def add(layer: nn.Module, given: tuple[Tensor, ...], result: Tensor) -> None:
        nonlocal total
        total += HALF_BYTES * (given[0].numel() + result.numel())

    layers = [each for each in network.modules() if hasattr(each, "conv2d")]
    hooks = [layer.register_forward_hook(add) for layer in layers]
    example = next(network.parameters())
    network(torch.zeros(1, 3, height, width, device=example.device, dtype=example.dtype))
    for hook in hooks:
        hook.remove()
    return total


def measure_rate(run: Callable[[], int], seconds: float, device: torch.device) -> float:
    """Return the frames per second of calls that each return their number of frames."""

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize()

    run()
    wait()
    frames, passed, begun = 0, 0.0, time.perf_counter()
    while passed < seconds or not frames:
        frames += run()
        wait()
        passed = time.perf_counter() - begun
    return frames / passed


def measure_bandwidth(device: torch.device, seconds: float) -> float:
    """Return the bytes per second that a copy within the device reads and writes."""
    source = torch.zeros(COPIED_BYTES if device.type == "cuda" else 1 << 20, dtype=torch.uint8)
    source = source.to(device)
    target = torch.empty_like(source)

    def run() -> int:
        target.copy_(source)
        return 1

    return 2 * len(source) * measure_rate(run, seconds, device)


def measure(width: int, size: tuple[int, int], options: argparse.Namespace) -> dict[str, Any]:
    """Measure one network on frames of one size."""
    from quartet.style.gpu import GpuNetwork

    device, (height, columns) = options.device, size
    plain = make_network(width)
    dtype = torch.float16 if device.type == "cuda" else torch.bfloat16
    network = GpuNetwork(plain, device, dtype)
    frames = make_frames(FRAMES, height, columns)
    pictures = torch.from_numpy(np.stack(frames))
    lanes = [make_lane(network) for _ in range(LANES)]
    # The second call of each lane captures its graph.
    made = torch.cat([lane(each) for lane in lanes for each in pictures.split(1)])
    expected = torch.stack([network.stylize_exactly(picture) for picture in pictures]).cpu()
    error = (made.float() - expected.repeat(LANES, 1, 1, 1)).square().mean().sqrt()

    def bare() -> int:
        rounds = FRAMES if device.type == "cuda" else 1
        for lane in lanes * rounds:
            lane.compute() if device.type == "cuda" else lane(pictures[:1])
        return len(lanes) * rounds

    def in_memory() -> int:
        source = islice(cycle(frames), options.video_frames // 2)
        return sum(1 for _ in stylize(lanes, source))

    bare_rate = measure_rate(bare, options.seconds, device)
    floor = moved_bytes(plain.to(device), height, columns) / options.bandwidth
    result = {
        "width": width,
        "frame": f"{columns}×{height}",
        "bare_frames_per_s": round(bare_rate, 2),
        "memory_to_memory_frames_per_s": round(measure_rate(in_memory, options.seconds, device), 2),
        "bandwidth_floor_share": round(floor * bare_rate, 3),
        "levels_rms": round(float(error), 3),
        "within_two_levels": bool(error <= LARGEST_ERROR),
    }
    if all(importlib.util.find_spec(name) is not None for name in LIBRARIES):
        count, ranks = options.video_frames, options.ranks
        with TemporaryDirectory() as folder:
            path = Path(folder, "video.mp4")
            write_video(path, islice(cycle(frames), count), height, columns)
            rate = measure_pipeline(path, count, plain, ranks)
        result |= {"ranks": ranks, "pipeline_frames_per_s": round(rate, 2)}
    return result


def parse_size(text: str) -> tuple[int, int]:
    """Return height and width of a size such as 1280x720."""
    width, height = map(int, text.split("x"))
    return height, width


def main(arguments: list[str] | None = None) -> int:
    """Measure all networks and sizes; return 0 if all pictures are within two levels."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=parse_size, nargs="+", default=[(720, 1280), (1080, 1920)])
    parser.add_argument("--widths", type=int, nargs="+", default=[16, 32])
    parser.add_argument("--video-frames", type=int, default=1024)
    ranks = max(1, (os.cpu_count() or 1) // 2)
    parser.add_argument("--ranks", type=int, default=ranks, help="of the pipeline")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    options = parser.parse_args(arguments)
    options.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    import_network()
    options.bandwidth = measure_bandwidth(options.device, min(1.0, options.seconds))
    gpu = options.device.type == "cuda"
    header = {
        "device": torch.cuda.get_device_name() if gpu else "CPU, nothing is measured",
        "torch": torch.__version__,
        "bandwidth_gb_per_s": round(options.bandwidth / 1e9, 1),
    }
    print(json.dumps(header), flush=True)
    good = True
    for size in options.sizes:
        for width in options.widths:
            found = measure(width, size, options)
            good &= found["within_two_levels"]
            print(json.dumps(found, ensure_ascii=False), flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
