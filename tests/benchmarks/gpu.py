"""Measure the style network on a GPU: python tests/benchmarks/gpu.py

Needs PyTorch and NumPy only; with PyAV, frames are also decoded and encoded. Prints one JSON
object a line, in under five minutes. Without a GPU it runs on the CPU, which only shows that the
script works.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import json
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

SOURCE = Path(__file__).parents[2] / "src/quartet/style/network.py"
LARGEST_ERROR = 2.0
"""Levels RMS between half precision and float32."""
HALF_BYTES = 2
COPIED_BYTES = 1 << 30
PREFETCHED_BATCHES = 2
MOST_ENCODED_BATCHES = 30

Frames = Iterator[np.ndarray]


def load_network_module() -> ModuleType:
    """Load the network's module by its path: its package needs libraries that may be missing."""
    spec = importlib.util.spec_from_file_location("style_network", SOURCE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def make_network(module: ModuleType, width: int) -> nn.Module:
    """Return a network with random weights whose pictures use the range of levels."""
    torch.manual_seed(0)
    network = module.StyleNetwork(width)
    with torch.no_grad():
        network.deconv3.conv2d.weight *= 30
        network.deconv3.conv2d.bias += 120
    return network.eval()


def batched(frames: Frames, size: int) -> Iterator[tuple[np.ndarray, ...]]:
    """Group frames; `itertools.batched` needs Python 3.12."""
    while batch := tuple(islice(frames, size)):
        yield batch


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


class Lane:
    """Stylize batches of one size on a stream of its own, replaying a CUDA graph.

    Two lanes in turn copy and compute at the same time.
    """

    def __init__(self, compute: Callable[[Tensor], Tensor], batch: Tensor, graphed: bool) -> None:
        self._compute = compute
        self._gpu = batch.is_cuda
        self._input = batch.clone()
        self._upload = torch.empty(batch.shape, dtype=torch.uint8, pin_memory=self._gpu)
        self._result = torch.empty(batch.shape, dtype=torch.uint8, pin_memory=self._gpu)
        self._graph = None
        if not self._gpu:
            return
        self._stream = torch.cuda.Stream()
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            for _ in range(3):
                self._output = compute(self._input)
        torch.cuda.synchronize()
        if graphed:
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph, stream=self._stream):
                self._output = compute(self._input)

    def run(self) -> None:
        """Stylize what the input contains."""
        if self._graph is not None:
            self._graph.replay()
        else:
            self._output = self._compute(self._input)

    def start(self, frames: tuple[np.ndarray, ...]) -> None:
        """Copy frames to the device, stylize them and copy them back, without waiting."""
        for target, frame in zip(self._upload, frames, strict=True):
            target.numpy()[:] = frame
        if not self._gpu:
            self._input.copy_(self._upload)
            self.run()
            self._result.copy_(self._output)
            return
        with torch.cuda.stream(self._stream):
            self._input.copy_(self._upload, non_blocking=True)
            self.run()
            self._result.copy_(self._output, non_blocking=True)

    def finish(self) -> np.ndarray:
        """Wait for the frames that were started last, and return a copy of them."""
        if self._gpu:
            self._stream.synchronize()
        return self._result.numpy().copy()


def stylize(lanes: list[Lane], frames: Frames, size: int) -> Frames:
    """Stylize frames in batches; those that do not fill a batch are left out."""
    busy: list[Lane] = []
    for batch, lane in zip(batched(frames, size), cycle(lanes), strict=False):
        if len(batch) < size:
            break
        if len(busy) == len(lanes):
            yield from busy.pop(0).finish()
        lane.start(batch)
        busy.append(lane)
    for lane in busy:
        yield from lane.finish()


def prefetch(frames: Frames, size: int) -> Frames:
    """Compute batches of frames in a thread, ahead of their use."""
    batches = batched(frames, size)
    with ThreadPoolExecutor(1) as pool:
        waiting: list[Future[Any]] = []
        while True:
            while len(waiting) < PREFETCHED_BATCHES:
                waiting.append(pool.submit(next, batches, None))
            batch = waiting.pop(0).result()
            if batch is None:
                return
            yield from batch


def encode(frames: Frames, height: int, width: int) -> bytes:
    """Encode frames as the pipeline does."""
    import av

    target = io.BytesIO()
    with av.open(target, "w", format="mp4") as container:
        options = {"crf": "18", "preset": "veryfast"}
        stream = container.add_stream("libx264", rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    return target.getvalue()


def decode(video: bytes) -> Frames:
    """Decode the frames of a video."""
    import av

    with av.open(io.BytesIO(video)) as container:
        container.streams.video[0].thread_type = "AUTO"
        for frame in container.decode(video=0):
            yield frame.to_ndarray(format="rgb24")


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


def measure(
    module: ModuleType, width: int, size: tuple[int, int], options: argparse.Namespace
) -> dict[str, Any]:
    """Measure one network on frames of one size."""
    device, (height, columns) = options.device, size
    dtype = torch.float16 if device.type == "cuda" else torch.bfloat16
    network = make_network(module, width).to(device)
    frames = make_frames(options.batch, height, columns)
    batch = torch.from_numpy(np.stack(frames)).to(device)

    def compute(pictures: Tensor, dtype: torch.dtype = dtype) -> Tensor:
        values = network(pictures.permute(0, 3, 1, 2).to(dtype))
        return module.to_pictures(values).permute(0, 2, 3, 1)[:, :height, :columns].contiguous()

    expected = torch.cat([compute(each, torch.float32) for each in batch.split(1)]).float()
    network = network.to(dtype).to(memory_format=torch.channels_last)
    # torch.compile's own graphs would compete with the lane's.
    form = torch.compile(compute) if options.compile else compute
    lanes = [Lane(form, batch, graphed=True) for _ in range(2)]
    made = np.stack(list(stylize(lanes[:1], iter(frames), options.batch)))
    error = (torch.from_numpy(made).to(device).float() - expected).square().mean().sqrt()

    def bare() -> int:
        lanes[0].run()
        return options.batch

    def in_memory() -> int:
        source = islice(cycle(frames), 4 * options.batch)
        return sum(1 for _ in stylize(lanes, source, options.batch))

    bare_rate = measure_rate(bare, options.seconds, device)
    floor = moved_bytes(network, height, columns) / options.bandwidth
    result = {
        "width": width,
        "frame": f"{columns}×{height}",
        "compiled": options.compile,
        "bare_frames_per_s": round(bare_rate, 2),
        "memory_to_memory_frames_per_s": round(measure_rate(in_memory, options.seconds, device), 2),
        "bandwidth_floor_share": round(floor * bare_rate, 3),
        "levels_rms": round(float(error), 3),
        "within_two_levels": bool(error <= LARGEST_ERROR),
    }
    if importlib.util.find_spec("av") is not None:
        length = min(MOST_ENCODED_BATCHES, 1 + int(bare_rate * options.seconds / options.batch))
        source = islice(cycle(frames), length * options.batch)
        video = encode(source, height, columns)

        def from_file_to_file() -> int:
            decoded = prefetch(decode(video), options.batch)
            encode(stylize(lanes, decoded, options.batch), height, columns)
            return length * options.batch

        rate = measure_rate(from_file_to_file, 0, device)
        result["file_to_file_frames_per_s"] = round(rate, 2)
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
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--compile", action="store_true", help="compile the network, a minute each")
    options = parser.parse_args(arguments)
    options.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    module = load_network_module()
    with torch.inference_mode():
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
                found = measure(module, width, size, options)
                good &= found["within_two_levels"]
                print(json.dumps(found, ensure_ascii=False), flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
