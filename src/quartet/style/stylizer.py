"""Stylize a stream of pictures on the available hardware."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock, local
from typing import Any, NamedTuple, TypeVar

import numpy as np
import psutil  # type: ignore[import-untyped]
import torch
from numpy.typing import NDArray
from torch import Tensor

from quartet.style.gpu import GpuNetwork, GraphedNetwork
from quartet.style.inference import InferenceNetwork, clone_network
from quartet.style.native import load_passes
from quartet.style.network import StyleNetwork, build_network
from quartet.style.precision import select_device, select_dtype, supports_int8
from quartet.style.quantised import QuantisedNetwork
from quartet.style.selection import select_network
from quartet.style.transfer_settings import Stylizing
from quartet.style.video import Picture

Key = TypeVar("Key")
Compute = Callable[[Tensor], Tensor]
"""Maps (n, h, w, 3) uint8 to the same shape and type."""

_MIN_SIDE = 24
"""Side of the smallest picture that the network's reflection padding supports, pixels."""
_GPU_WORKERS = 3
"""Pictures are copied while others are computed. More than three gain nothing."""
_BYTES_PER_VALUE = 20
"""Peak memory of all layers per value of the first layer's output. Measured in float32 on a CPU;
other configurations need less."""


class Platform(NamedTuple):
    """Hardware and data type for inference.

    Attributes:
        device: CPU or GPU.
        dtype: Data type of the convolutions; with int8, of most.
        workers: Threads that stylize pictures concurrently; on a CPU, each on one core.
    """

    device: torch.device
    dtype: torch.dtype
    workers: int

    def describe(self) -> dict[str, Any]:
        """Return a description for reports."""
        gpu = self.device.type == "cuda"
        return {
            "device": torch.cuda.get_device_name() if gpu else "CPU",
            "precision": str(self.dtype).removeprefix("torch."),
            "workers": self.workers,
        }


def detect_platform(settings: Stylizing, ranks: int = 1) -> Platform:
    """Return the hardware and data type to use on this machine.

    Args:
        settings: Parameters; `auto` is resolved here.
        ranks: Processes that share the cores of this machine.

    Raises:
        ValueError: The machine does not support the requested precision.
    """
    device = select_device()
    gpu = device.type == "cuda"
    dtype = _select_dtype(settings, device)
    workers = settings.workers or (_GPU_WORKERS if gpu else max(1, _count_cores() // ranks))
    return Platform(device, dtype, workers)


def _select_dtype(settings: Stylizing, device: torch.device) -> torch.dtype:
    """Return the data type to use.

    Raises:
        ValueError: The machine does not support the requested precision.
    """
    gpu = device.type == "cuda"
    integers = not gpu and supports_int8()
    if settings.precision == "auto":
        if gpu:
            # float16 is more precise than bfloat16, and its range suffices for these values.
            return torch.float16
        return torch.int8 if integers and load_passes() else select_dtype(device)
    dtype: torch.dtype = getattr(torch, settings.precision)
    if dtype == torch.float16 and not gpu:
        raise ValueError(
            "stylizing.precision: float16 needs a GPU, and none was found; use auto, bfloat16 or "
            "float32"
        )
    if dtype == torch.int8 and not integers:
        raise ValueError(
            "stylizing.precision: int8 needs a CPU with AVX512-VNNI and no GPU; use auto, "
            "bfloat16 or float32"
        )
    return dtype


class Stylizer:
    """Stylize pictures in one style with a pool of threads.

    Use it as a context manager, which ends its threads.

    Args:
        weights: Weights by name of a `StyleNetwork` of any width.
        settings: Parameters of the inference.
        platform: Hardware to use.

    Attributes:
        busy_seconds: Time spent in the network, summed over all threads.

    Raises:
        ValueError: The weights belong to another architecture.
    """

    def __init__(
        self, weights: Mapping[str, NDArray[Any]], settings: Stylizing, platform: Platform
    ) -> None:
        network = build_network({name: torch.tensor(value) for name, value in weights.items()})
        self._width = int(network.conv1.conv2d.weight.shape[0])
        self._platform = platform
        self._description = platform.describe()
        self._create_compute: Callable[[], Compute]
        if platform.device.type == "cuda":
            on_gpu = GpuNetwork(network, platform.device, platform.dtype)
            self._create_compute = lambda: GraphedNetwork(on_gpu)
        else:
            on_cpu = _build_cpu_network(network, platform.dtype, settings.precision == "auto")
            self._create_compute = lambda: clone_network(on_cpu)
            self._description["precision"] = on_cpu.precision
        self._thread_local = local()
        self._lock = Lock()
        self.busy_seconds = 0.0
        self._fitting_sizes: set[tuple[int, int]] = set()
        """Height and width of the frames known to fit into memory."""

    def __enter__(self) -> Stylizer:
        # One thread per frame is faster: threads within a layer wait for each other at every layer.
        self._threads_before = torch.get_num_threads()
        torch.set_num_threads(1)
        self._pool = ThreadPoolExecutor(
            self._platform.workers, initializer=torch.set_num_threads, initargs=(1,)
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        torch.set_num_threads(self._threads_before)

    def describe(self) -> dict[str, Any]:
        """Return a description of hardware and precision for reports."""
        return dict(self._description)

    def stream(self, pictures: Iterable[tuple[Key, Picture]]) -> Iterator[tuple[Key, Picture]]:
        """Stylize pictures in several threads.

        Besides the picture to be yielded next, at most two per thread wait or are computed.

        Args:
            pictures: Pairs of a key and a picture of shape (h, w, 3).

        Yields:
            The key and the stylized picture, in input order.

        Raises:
            ValueError: The first picture of a size does not fit into memory.
        """
        pending: deque[tuple[Key, Future[Picture]]] = deque()
        for key, picture in pictures:
            pending.append((key, self._pool.submit(self.stylize, picture)))
            if len(pending) > 2 * self._platform.workers:
                yield _wait(*pending.popleft())
        while pending:
            yield _wait(*pending.popleft())

    def stylize(self, picture: Picture) -> Picture:
        """Stylize one picture, shape (h, w, 3), in the calling thread.

        Raises:
            ValueError: The first picture of a size does not fit into memory.
        """
        started = time.perf_counter()
        height, width, _ = picture.shape
        self._check_memory(height, width)
        missing = [(0, max(0, _MIN_SIDE - size)) for size in (height, width)]
        if any(after for _, after in missing):
            picture = np.pad(picture, [*missing, (0, 0)], mode="edge")
        with torch.inference_mode():
            stylized = self._compute()(torch.from_numpy(np.stack([picture])))
        result: Picture = stylized[0, :height, :width].numpy()
        with self._lock:
            self.busy_seconds += time.perf_counter() - started
        return result

    def _compute(self) -> Compute:
        """Return the network with this thread's own buffers."""
        if not hasattr(self._thread_local, "compute"):
            self._thread_local.compute = self._create_compute()
        compute: Compute = self._thread_local.compute
        return compute

    def _check_memory(self, height: int, width: int) -> None:
        """Check that pictures fit into memory, once per size.

        Later pictures reuse the threads' buffers: checking again would count this memory twice,
        and fail a run that works as soon as another process takes memory.
        """
        with self._lock:
            if (height, width) in self._fitting_sizes:
                return
            workers = self._platform.workers
            required = height * width * self._width * _BYTES_PER_VALUE * workers
            available = _free_memory(self._platform.device)
            if required > available:
                raise ValueError(
                    f"stylizing a picture of {width}×{height} pixels in each of {workers} threads "
                    f"needs about {required / 2**30:.1f} GiB, and {available / 2**30:.1f} GiB are "
                    "free: lower stylizing.workers, or scale the source down"
                )
            self._fitting_sizes.add((height, width))


def _wait(key: Key, stylized: Future[Picture]) -> tuple[Key, Picture]:
    """Wait for a picture, and pair it with its key."""
    return key, stylized.result()


def _build_cpu_network(
    network: StyleNetwork, dtype: torch.dtype, automatic: bool
) -> InferenceNetwork | QuantisedNetwork:
    """Return the network in the form for a data type.

    With `automatic`, 8-bit integers are used for as many layers as the accuracy allows.
    """
    if dtype != torch.int8:
        return InferenceNetwork(network, dtype)
    return select_network(network) if automatic else QuantisedNetwork(network)


def _free_memory(device: torch.device) -> int:
    """Return the free memory in bytes."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)


def _count_cores() -> int:
    """Return the number of cores that this process may use; on macOS, all of the machine."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
