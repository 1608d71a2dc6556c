"""Where long work keeps what it has done, so that a stopped run goes on from there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from quartet.datasets.file import HandleDataset
from quartet.datasets.location import Location


@dataclass(frozen=True)
class CheckpointState:
    """What a piece of work has done so far: arrays, and facts that JSON can hold."""

    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


class Checkpoint:
    """One stored `CheckpointState`, valid for one fingerprint of data and parameters.

    A node restores at its start and stores after every finished piece; the
    pipeline's last node clears, when what was made of it is saved: interrupted
    work goes on, finished work starts over.
    """

    def __init__(self, location: Location) -> None:
        self._location = location

    def restore(self, fingerprint: str) -> CheckpointState:
        """The stored state, or an empty one if none was stored for `fingerprint`.

        A damaged file counts as none: the work is only done again.
        """
        try:
            content = self._location.read()
            facts = json.loads(_metadata(content)["state"])
            arrays = load(content)
        except (FileNotFoundError, SafetensorError, KeyError, ValueError):
            return CheckpointState()
        if facts.pop("fingerprint", None) != fingerprint:
            return CheckpointState()
        return CheckpointState(arrays, facts)

    def store(self, fingerprint: str, state: CheckpointState) -> None:
        """Replace what is stored by `state`."""
        facts = json.dumps({**state.facts, "fingerprint": fingerprint})
        arrays = {name: np.ascontiguousarray(array) for name, array in state.arrays.items()}
        self._location.write(save(arrays, {"state": facts}))

    def clear(self) -> None:
        """Forget the stored state."""
        if self._location.exists():
            self._location.filesystem.rm(self._location.path)


def _metadata(content: bytes) -> dict[str, str]:
    """The text entries in the header of a safetensors file."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    metadata: dict[str, str] = header["__metadata__"]
    return metadata


def fingerprint(*parts: Any) -> str:
    """A SHA-256 over arrays (by content, type and shape) and anything with a repr."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(f"{part.dtype}{part.shape}".encode())
            digest.update(np.ascontiguousarray(part).data)
        elif isinstance(part, Mapping):
            # Sorted: files of named arrays give them back in any order.
            items = (entry for name in sorted(part) for entry in (name, part[name]))
            digest.update(fingerprint(*items).encode())
        else:
            digest.update(repr(part).encode())
    return digest.hexdigest()


class CheckpointDataset(HandleDataset[Checkpoint]):
    """Hands a node its `Checkpoint`; only the node's work writes through it.

    ```yaml
    convnet_checkpoint:
      type: quartet.datasets.checkpoint.CheckpointDataset
      filepath: data/06_models/mnist/convnet_checkpoint.safetensors
    ```
    """

    def load(self) -> Checkpoint:
        """Return the handle; the file need not exist yet."""
        return Checkpoint(self._location)
