"""Stylizes a stream of pictures with whatever the machine has."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import groupby, islice
from pathlib import Path
from threading import Lock, local
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from quartet.style.inference import InferenceNetwork
from quartet.style.network import StyleNetwork, network_of, to_pictures
from quartet.style.precision import compute_type, device
from quartet.style.transfer_settings import Stylizing

Pictures = NDArray[np.uint8]
"""Shape (n, h, w, 3), RGB."""
Picture = NDArray[np.uint8]
"""Shape (h, w, 3), RGB."""
Key = TypeVar("Key")
Compute = Callable[[Tensor], Tensor]
"""Shape (n, h, w, 3), uint8 → the same."""

_SMALLEST = 24
"""Side of the smallest picture that the network's mirrored borders allow, pixels."""
_BATCH_ON_GPU = 8
_BYTES_A_VALUE = 20
"""Of the first layer's output: so much memory do all layers want together at their peak. Measured
in float32 on a processor; other ways want less."""


class Platform(NamedTuple):
    """What is computed on.

    Attributes:
        device: Processor or GPU.
        dtype: Of the convolutions.
        compiled: Whether PyTorch compiles the network.
        workers: Threads that stylize batches side by side, each with one core.
    """

    device: torch.device
    dtype: torch.dtype
    compiled: bool
    workers: int

    def describe(self) -> dict[str, Any]:
        """For reports: text and numbers."""
        gpu = self.device.type == "cuda"
        return {
            "device": torch.cuda.get_device_name() if gpu else "CPU",
            "precision": str(self.dtype).removeprefix("torch."),
            "compiled": self.compiled,
            "workers": self.workers,
        }


def detect(settings: Stylizing, ranks: int = 1) -> Platform:
    """What this machine has, as far as the settings allow it.

    Args:
        settings: `auto` is decided here.
        ranks: Processes that share this machine's cores.

    Raises:
        ValueError: The machine cannot compute in the precision asked for.
    """
    where = device()
    gpu = where.type == "cuda"
    if settings.precision == "auto":
        # Half precision is finer than bfloat16, and its range is enough for these values.
        dtype = torch.float16 if gpu else compute_type(where)
    else:
        dtype = getattr(torch, settings.precision)
    if dtype == torch.float16 and not gpu:
        raise ValueError(
            "stylizing.precision: float16 is for GPUs, and none was found; say auto, bfloat16 or "
            "float32"
        )
    compiled = gpu if settings.compiled == "auto" else settings.compiled == "always"
    cores = len(os.sched_getaffinity(0))
    workers = settings.workers or (1 if gpu else max(1, cores // ranks))
    return Platform(where, dtype, compiled, workers)


class Stylizer:
    """A style, ready to be put on pictures.

    Use it as a context; its threads end with it.

    Args:
        weights: Of a `StyleNetwork` of any width, by name.
        settings: How.
        platform: What to compute on.

    Raises:
        ValueError: The weights belong to another architecture.
    """

    def __init__(
        self, weights: Mapping[str, NDArray[Any]], settings: Stylizing, platform: Platform
    ) -> None:
        network = network_of({name: torch.tensor(value) for name, value in weights.items()})
        gpu = platform.device.type == "cuda"
        self._batch = settings.batch_size or (_BATCH_ON_GPU if gpu else 1)
        self._width = int(network.conv1.conv2d.weight.shape[0])
        self._platform = platform
        self._made_for = _for_gpu(network, platform) if gpu else _for_processor(network, platform)
        self._own = local()
        self._lock = Lock()
        self._busy = 0.0
        self._fitting: dict[tuple[int, int], int] = {}
        """Pictures in a batch that fits into memory, by height and width."""

    def __enter__(self) -> Stylizer:
        # Threads within a layer would wait for each other at each of them; frames need not.
        self._threads_before = torch.get_num_threads()
        torch.set_num_threads(1)
        self._pool = ThreadPoolExecutor(
            self._platform.workers, initializer=torch.set_num_threads, initargs=(1,)
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        torch.set_num_threads(self._threads_before)

    @property
    def busy_seconds(self) -> float:
        """Time that the threads have spent in the network, summed over them."""
        return self._busy

    def stream(
        self,
        pictures: Iterable[tuple[Key, Picture]],
        group: Callable[[Key], object] = lambda key: None,
    ) -> Iterator[tuple[Key, Picture]]:
        """Stylize pictures, in batches of equal size, in several threads.

        Not more than two batches a thread are under way at a time.

        Args:
            pictures: Each after a key that says what it is.
            group: Of a key; only pictures of one group come into one batch. What a picture
                becomes may depend on its batch, in the last bit.

        Yields:
            The key and the stylized picture, in the order given.

        Raises:
            ValueError: The first pictures of a size need more memory than there is.
        """
        pending: deque[tuple[tuple[Key, ...], Future[Pictures]]] = deque()
        for keys, batch in _batches(pictures, self._batch, group):
            pending.append((keys, self._pool.submit(self.stylize, batch)))
            if len(pending) > 2 * self._platform.workers:
                yield from _results(*pending.popleft())
        while pending:
            yield from _results(*pending.popleft())

    def stylize(self, pictures: Sequence[Picture] | Pictures) -> Pictures:
        """Stylize one batch in the calling thread.

        Args:
            pictures: Of one size, at least one.

        Returns:
            Of the same size.

        Raises:
            ValueError: They are the first of their size and need more memory than there is.
        """
        begun = time.perf_counter()
        batch = np.stack(list(pictures))
        count, height, width, _ = batch.shape
        self._check_memory(count, height, width)
        lacking = [(0, max(0, _SMALLEST - size)) for size in (height, width)]
        if any(after for _, after in lacking):
            batch = np.pad(batch, [(0, 0), *lacking, (0, 0)], mode="edge")
        with torch.inference_mode():
            stylized = self._compute()(torch.from_numpy(batch))
        result: Pictures = stylized[:, :height, :width].numpy()
        with self._lock:
            self._busy += time.perf_counter() - begun
        return result

    def _compute(self) -> Compute:
        """The network, with buffers of this thread's own."""
        if not hasattr(self._own, "compute"):
            self._own.compute = self._made_for()
        compute: Compute = self._own.compute
        return compute

    def _check_memory(self, count: int, height: int, width: int) -> None:
        """Refuse what does not fit, once for a size of pictures.

        Later batches find the threads' buffers in place: were the peak asked for again, what is
        held already would count twice, and another process could end a run that goes well.
        """
        with self._lock:
            if count <= self._fitting.get((height, width), 0):
                return
            workers = self._platform.workers
            wanted = count * height * width * self._width * _BYTES_A_VALUE * workers
            there = _free_memory(self._platform.device)
            if wanted > there:
                raise ValueError(
                    f"stylizing {count} picture{'s' * (count > 1)} of {width}×{height} pixels in "
                    f"each of {workers} threads wants about {wanted / 2**30:.1f} GiB, and "
                    f"{there / 2**30:.1f} GiB are free: lower stylizing.batch_size or "
                    "stylizing.workers, or scale the source down"
                )
            self._fitting[height, width] = count


def _batches(
    pictures: Iterable[tuple[Key, Picture]], size: int, group: Callable[[Key], object]
) -> Iterator[tuple[tuple[Key, ...], tuple[Picture, ...]]]:
    """Put successive pictures of one size and group together, their keys beside them."""
    for _, same in groupby(pictures, key=lambda item: (item[1].shape, group(item[0]))):
        while batch := list(islice(same, size)):
            keys, stacked = zip(*batch, strict=True)
            yield keys, stacked


def _results(keys: tuple[Key, ...], stylized: Future[Pictures]) -> Iterator[tuple[Key, Picture]]:
    """Wait for a batch; give each picture its key again."""
    return zip(keys, stylized.result(), strict=True)


def _for_processor(network: StyleNetwork, platform: Platform) -> Callable[[], Compute]:
    """What makes a thread's own network; all share the weights."""
    first = InferenceNetwork(network, platform.dtype)

    def own() -> Compute:
        twin = first.twin()
        return torch.compile(twin.__call__, dynamic=False) if platform.compiled else twin

    return own


def _for_gpu(network: StyleNetwork, platform: Platform) -> Callable[[], Compute]:
    layout: dict[str, Any] = {"memory_format": torch.channels_last}
    network = network.to(platform.device, platform.dtype).to(**layout)

    def stylized(pictures: Tensor) -> Tensor:
        values = network(pictures.permute(0, 3, 1, 2).to(platform.dtype))
        return to_pictures(values).permute(0, 2, 3, 1)

    # With CUDA graphs: between two layers of a small picture the GPU waits for the processor.
    compiled = torch.compile(stylized, mode="max-autotune") if platform.compiled else stylized

    def compute(pictures: Tensor) -> Tensor:
        return compiled(pictures.to(platform.device, non_blocking=True)).cpu()

    return lambda: compute


def _free_memory(where: torch.device) -> int:
    """Bytes."""
    if where.type == "cuda":
        return int(torch.cuda.mem_get_info(where)[0])
    lines = dict(
        line.split(":", 1) for line in Path("/proc/meminfo").read_text("ascii").splitlines()
    )
    return int(lines["MemAvailable"].split()[0]) * 1024
