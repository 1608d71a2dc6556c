"""Stylize a stream of pictures on the available hardware."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import groupby, islice
from threading import Lock, local
from typing import Any, NamedTuple, TypeVar

import numpy as np
import psutil  # type: ignore[import-untyped]
import torch
from numpy.typing import NDArray
from torch import Tensor

from quartet.style.inference import InferenceNetwork
from quartet.style.native import load_passes
from quartet.style.network import StyleNetwork, build_network, to_pictures
from quartet.style.precision import select_device, select_dtype, supports_int8
from quartet.style.quantised import QuantisedNetwork
from quartet.style.selection import select_network
from quartet.style.transfer_settings import Stylizing

Pictures = NDArray[np.uint8]
"""Shape (n, h, w, 3), RGB."""
Picture = NDArray[np.uint8]
"""Shape (h, w, 3), RGB."""
Key = TypeVar("Key")
Compute = Callable[[Tensor], Tensor]
"""Maps (n, h, w, 3) uint8 to the same shape and type."""

_MIN_SIDE = 24
"""Side of the smallest picture that the network's reflection padding supports, pixels."""
_GPU_BATCH_SIZE = 8
_BYTES_PER_VALUE = 20
"""Peak memory of all layers per value of the first layer's output. Measured in float32 on a CPU;
other configurations need less."""


class Platform(NamedTuple):
    """Hardware and data type for inference.

    Attributes:
        device: CPU or GPU.
        dtype: Data type of the convolutions; with int8, of most.
        compiled: Whether PyTorch compiles the network.
        workers: Threads that stylize batches concurrently, each on one core.
    """

    device: torch.device
    dtype: torch.dtype
    compiled: bool
    workers: int

    def describe(self) -> dict[str, Any]:
        """Return a description for reports."""
        gpu = self.device.type == "cuda"
        return {
            "device": torch.cuda.get_device_name() if gpu else "CPU",
            "precision": str(self.dtype).removeprefix("torch."),
            "compiled": self.compiled,
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
    compiled = gpu if settings.compiled == "auto" else settings.compiled == "always"
    cores = _count_cores()
    workers = settings.workers or (1 if gpu else max(1, cores // ranks))
    return Platform(device, dtype, compiled, workers)


def _select_dtype(settings: Stylizing, device: torch.device) -> torch.dtype:
    """Return the data type to use.

    Raises:
        ValueError: The machine does not support the requested precision.
    """
    gpu = device.type == "cuda"
    integers = not gpu and settings.compiled != "always" and supports_int8()
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
            "stylizing.precision: int8 needs a CPU with AVX512-VNNI, no GPU, and "
            "stylizing.compiled other than always; use auto, bfloat16 or float32"
        )
    return dtype


class Stylizer:
    """Stylize pictures in one style with a pool of threads.

    Use it as a context manager, which ends its threads.

    Args:
        weights: Weights by name of a `StyleNetwork` of any width.
        settings: Parameters of the inference.
        platform: Hardware to use.

    Raises:
        ValueError: The weights belong to another architecture.
    """

    def __init__(
        self, weights: Mapping[str, NDArray[Any]], settings: Stylizing, platform: Platform
    ) -> None:
        network = build_network({name: torch.tensor(value) for name, value in weights.items()})
        gpu = platform.device.type == "cuda"
        self._batch = settings.batch_size or (_GPU_BATCH_SIZE if gpu else 1)
        self._width = int(network.conv1.conv2d.weight.shape[0])
        self._platform = platform
        self._description = platform.describe()
        if gpu:
            self._create_compute = _gpu_factory(network, platform)
        else:
            self._create_compute, self._description["precision"] = _cpu_factory(
                network, platform, settings.precision == "auto"
            )
        self._thread_local = local()
        self._lock = Lock()
        self._busy = 0.0
        self._fitting_counts: dict[tuple[int, int], int] = {}
        """Largest batch known to fit into memory, by height and width."""

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

    @property
    def busy_seconds(self) -> float:
        """Time spent in the network, summed over all threads."""
        return self._busy

    def stream(
        self,
        pictures: Iterable[tuple[Key, Picture]],
        group: Callable[[Key], object] = lambda key: None,
    ) -> Iterator[tuple[Key, Picture]]:
        """Stylize pictures in batches of equal size, in several threads.

        At most two batches per thread are in progress at a time.

        Args:
            pictures: Pairs of a key and a picture of shape (h, w, 3).
            group: Maps a key to its group; a batch contains one group only, as the result of a
                picture may depend on its batch in the last bit.

        Yields:
            The key and the stylized picture, in input order.

        Raises:
            ValueError: The first pictures of a size do not fit into memory.
        """
        pending: deque[tuple[tuple[Key, ...], Future[Pictures]]] = deque()
        for keys, batch in _group_batches(pictures, self._batch, group):
            pending.append((keys, self._pool.submit(self.stylize, batch)))
            if len(pending) > 2 * self._platform.workers:
                yield from _results(*pending.popleft())
        while pending:
            yield from _results(*pending.popleft())

    def stylize(self, pictures: Sequence[Picture] | Pictures) -> Pictures:
        """Stylize one batch in the calling thread.

        Args:
            pictures: One or more pictures of the same shape (h, w, 3).

        Returns:
            Stylized pictures, shape (n, h, w, 3).

        Raises:
            ValueError: The first pictures of a size do not fit into memory.
        """
        started = time.perf_counter()
        batch = np.stack(list(pictures))
        count, height, width, _ = batch.shape
        self._check_memory(count, height, width)
        missing = [(0, max(0, _MIN_SIDE - size)) for size in (height, width)]
        if any(after for _, after in missing):
            batch = np.pad(batch, [(0, 0), *missing, (0, 0)], mode="edge")
        with torch.inference_mode():
            stylized = self._compute()(torch.from_numpy(batch))
        result: Pictures = stylized[:, :height, :width].numpy()
        with self._lock:
            self._busy += time.perf_counter() - started
        return result

    def _compute(self) -> Compute:
        """Return the network with this thread's own buffers."""
        if not hasattr(self._thread_local, "compute"):
            self._thread_local.compute = self._create_compute()
        compute: Compute = self._thread_local.compute
        return compute

    def _check_memory(self, count: int, height: int, width: int) -> None:
        """Check that a batch fits into memory, once per frame size.

        Later batches reuse the threads' buffers: checking again would count this memory twice,
        and another process could end a run that works.
        """
        with self._lock:
            if count <= self._fitting_counts.get((height, width), 0):
                return
            workers = self._platform.workers
            required = count * height * width * self._width * _BYTES_PER_VALUE * workers
            available = _free_memory(self._platform.device)
            if required > available:
                raise ValueError(
                    f"stylizing {count} picture{'s' * (count > 1)} of {width}×{height} pixels in "
                    f"each of {workers} threads needs about {required / 2**30:.1f} GiB, and "
                    f"{available / 2**30:.1f} GiB are free: lower stylizing.batch_size or "
                    "stylizing.workers, or scale the source down"
                )
            self._fitting_counts[height, width] = count


def _group_batches(
    pictures: Iterable[tuple[Key, Picture]], size: int, group: Callable[[Key], object]
) -> Iterator[tuple[tuple[Key, ...], tuple[Picture, ...]]]:
    """Group successive pictures of the same size and group into batches, with their keys."""
    for _, same in groupby(pictures, key=lambda item: (item[1].shape, group(item[0]))):
        while batch := list(islice(same, size)):
            keys, stacked = zip(*batch, strict=True)
            yield keys, stacked


def _results(keys: tuple[Key, ...], stylized: Future[Pictures]) -> Iterator[tuple[Key, Picture]]:
    """Wait for a batch, and pair each picture with its key."""
    return zip(keys, stylized.result(), strict=True)


def _cpu_factory(
    network: StyleNetwork, platform: Platform, automatic: bool
) -> tuple[Callable[[], Compute], str]:
    """Return a function that creates a thread's own network, and the precision of all.

    The networks share their weights. With `automatic`, 8-bit integers are used for as many layers
    as the accuracy allows.
    """
    first: InferenceNetwork | QuantisedNetwork
    if platform.dtype == torch.int8:
        first = select_network(network) if automatic else QuantisedNetwork(network)
    else:
        first = InferenceNetwork(network, platform.dtype)

    def create() -> Compute:
        clone = first.clone()
        return torch.compile(clone.__call__, dynamic=False) if platform.compiled else clone

    return create, first.precision


def _gpu_factory(network: StyleNetwork, platform: Platform) -> Callable[[], Compute]:
    layout: dict[str, Any] = {"memory_format": torch.channels_last}
    network = network.to(platform.device, platform.dtype).to(**layout)

    def stylized(pictures: Tensor) -> Tensor:
        values = network(pictures.permute(0, 3, 1, 2).to(platform.dtype))
        return to_pictures(values).permute(0, 2, 3, 1)

    # CUDA graphs avoid launch overhead, which dominates on small pictures.
    compiled = torch.compile(stylized, mode="max-autotune") if platform.compiled else stylized

    def compute(pictures: Tensor) -> Tensor:
        return compiled(pictures.to(platform.device, non_blocking=True)).cpu()

    return lambda: compute


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
