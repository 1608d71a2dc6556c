"""Checkpoints from which interrupted nodes resume."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError

from quartet.datasets.file import HandleDataset
from quartet.datasets.location import Location
from quartet.datasets.safetensors import from_bytes, to_bytes


@dataclass(frozen=True)
class CheckpointState:
    """State of an unfinished computation: arrays, and JSON-serialisable facts."""

    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


class Checkpoint:
    """A file with one `CheckpointState`, valid for one fingerprint of data and parameters.

    A node calls `restore` at its start and `store` after each step. The last node of the
    pipeline calls `clear` when all results are saved, so that interrupted runs resume
    and finished ones start over.
    """

    def __init__(self, location: Location) -> None:
        self._location = location

    def restore(self, fingerprint: str) -> CheckpointState:
        """Return the state stored for `fingerprint`, or an empty state if there is none.

        A damaged file counts as missing: the computation starts over.
        """
        try:
            arrays, metadata = from_bytes(self._location.read())
            facts = json.loads(metadata["state"])
        except (FileNotFoundError, SafetensorError, KeyError, ValueError):
            return CheckpointState()
        if facts.pop("fingerprint", None) != fingerprint:
            return CheckpointState()
        return CheckpointState(arrays, facts)

    def store(self, fingerprint: str, state: CheckpointState) -> None:
        """Replace the stored state."""
        facts = json.dumps({**state.facts, "fingerprint": fingerprint})
        self._location.write(to_bytes(state.arrays, {"state": facts}))

    def clear(self) -> None:
        """Delete the stored state."""
        if self._location.exists():
            self._location.filesystem.rm(self._location.path)


def fingerprint(*parts: Any) -> str:
    """Return a SHA-256 of arrays (content, dtype and shape) and of other values (repr)."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(f"{part.dtype}{part.shape}".encode())
            digest.update(np.ascontiguousarray(part).data)
        elif isinstance(part, Mapping):
            # Sorted, because safetensors files load arrays in any order.
            items = (entry for name in sorted(part) for entry in (name, part[name]))
            digest.update(fingerprint(*items).encode())
        else:
            digest.update(repr(part).encode())
    return digest.hexdigest()


class CheckpointDataset(HandleDataset[Checkpoint]):
    """Provides a `Checkpoint`, which the node itself writes to.

    ```yaml
    convnet_checkpoint:
      type: quartet.datasets.checkpoint.CheckpointDataset
      filepath: data/06_models/mnist/convnet_checkpoint.safetensors
    ```
    """

    def load(self) -> Checkpoint:
        """Return the handle; the file need not exist yet."""
        return Checkpoint(self._location)
