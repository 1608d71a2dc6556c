"""Weights of networks as others publish them: safetensors and PyTorch's own files."""

from __future__ import annotations

import io
import json
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
from kedro.io.core import DatasetError
from numpy.typing import NDArray

from quartet.datasets.file import FileDataset

if TYPE_CHECKING:
    from torch import Tensor

_PICKLED = (b"PK", b"\x80")
"""How PyTorch's files begin: those of today, which are zip archives, and those of before 2020.
A safetensors file may begin so, too: with the length of its header."""
_WRAPPERS = ("state_dict", "model_state_dict", "model", "network", "net", "weights")
"""Names under which checkpoints keep the weights, beside an optimiser and the like."""
_PARALLEL = "module."
"""Before each name, where the network was trained in PyTorch's DataParallel."""


@dataclass(frozen=True)
class Weights:
    """Weights of one network.

    Attributes:
        name: Of the file, without its ending; of a style, the style's.
        arrays: By name. What NumPy has no type for, bfloat16, is float32 here.
        metadata: Texts by name, as the header of a safetensors file has them.
    """

    name: str
    arrays: Mapping[str, NDArray[Any]]
    metadata: Mapping[str, str] = field(default_factory=dict)


class WeightsDataset(FileDataset[Weights, Weights]):
    """Loads weights from a safetensors or PyTorch file, and saves them as safetensors.

    Content tells the format, whatever the file is called; where `NAME.safetensors` is
    missing, `NAME.pth`, `NAME.pt` and `NAME.model` are looked for. A PyTorch file is a
    pickle, which can hold code: only tensors are ever taken from it (`weights_only`). They
    may lie in a checkpoint, under `state_dict` and the like, and have `module.` before
    their names.

    ```yaml
    style_weights:
      type: quartet.datasets.torch_weights.WeightsDataset
      filepath: data/06_models/style/wave.safetensors
    ```
    """

    suffixes = (".safetensors", ".pth", ".pt", ".model")

    def __init__(
        self,
        *,
        filepath: str,
        kind: str | None = "style",
        prefix: str = "",
        hint: str = "give the file that holds the weights",
        **options: Any,
    ) -> None:
        """Describe the file.

        Args:
            filepath: Local path or any fsspec URL.
            kind: What a file of this folder is to a user. A missing one is reported by
                name, with the names of those that are there. None: as a file.
            prefix: Arrays whose names begin otherwise are left aside.
            hint: What to do where the file is missing.
            options: `credentials`, `fs_args` and `metadata`, as for any file.
        """
        super().__init__(filepath=filepath, **options)
        self._kind = kind
        self._prefix = prefix
        self._hint = hint

    def load(self) -> Weights:
        """Return the weights.

        Raises:
            DatasetError: The file is missing, damaged, holds code, or no arrays by name.
        """
        location = self._existing()
        if location is None:
            raise DatasetError(self._missing())
        path, content = location.path, location.read()
        if content.startswith(_PICKLED) and not _has_safetensors_header(content):
            tensors, metadata = _from_pickle(content, path), dict[str, str]()
        else:
            tensors, metadata = _from_safetensors(content, path)
        wanted = {name: tensor for name, tensor in tensors.items() if name.startswith(self._prefix)}
        if not wanted:
            raise DatasetError(f"{path}: it holds no weights named {self._prefix}…")
        arrays = {name: _array(tensor, name, path) for name, tensor in wanted.items()}
        return Weights(PurePosixPath(path).stem, arrays, metadata)

    def save(self, data: Weights) -> None:
        """Write arrays and metadata, replacing the file as a whole.

        The same weights give the same bytes.

        Raises:
            DatasetError: The file's name is not that of a safetensors file.
        """
        if not self._location.path.endswith(".safetensors"):
            raise DatasetError(
                f"{self._location.path}: weights are saved as safetensors only; let the file's "
                "name end in .safetensors"
            )
        self._location.write(_to_safetensors(data))

    def _missing(self) -> str:
        path = PurePosixPath(self._location.path)
        known = self._others(str(path.parent))
        if self._kind is None or not known:
            return f"{path}: no such file; {self._hint}"
        return f"unknown {self._kind} '{path.stem}'; known: {', '.join(known)} ({path.parent})"

    def _others(self, folder: str) -> list[str]:
        """Names of the weights in a folder."""
        filesystem = self._location.filesystem
        filesystem.invalidate_cache()
        try:
            paths = map(PurePosixPath, filesystem.ls(folder, detail=False))
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted({path.stem for path in paths if path.suffix in self.suffixes})


def _from_pickle(content: bytes, path: str) -> dict[str, Tensor]:
    return _flat(_unpickled(content, path), path)


def _unpickled(content: bytes, path: str) -> Any:
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the pickle's protocol
            return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # damaged pickles fail in any way
        refused = re.search(r"GLOBAL ([\w.]+)", str(error))
        if refused:
            raise DatasetError(
                f"{path}: not opened, because it holds more than arrays ({refused[1]}) and "
                "could run code; save the network's state_dict, or better safetensors"
            ) from error
        reason = " ".join(str(error).split()) or type(error).__name__
        if len(reason) > 200:  # advice of many lines, of which the reason is near the end
            reason = re.sub(r".*error: ?", "", re.sub(r" Check the doc.*", "", reason))[:200]
        raise DatasetError(
            f"{path}: not a whole file of weights ({reason}); fetch or save it again"
        ) from error


def _flat(found: Any, path: str) -> dict[str, Tensor]:
    """Tensors by name, out of a checkpoint where they lie in one."""
    import torch

    if isinstance(found, Mapping):
        inside = (found[name] for name in _WRAPPERS if isinstance(found.get(name), Mapping))
        found = next(inside, found)
    if not isinstance(found, Mapping) or not found:
        what = "nothing" if isinstance(found, Mapping) else f"a {type(found).__name__}"
        raise DatasetError(
            f"{path}: expected arrays by name, as a state_dict, found {what}; save the network's "
            "state_dict"
        )
    for name, value in found.items():
        if not isinstance(value, torch.Tensor):
            raise DatasetError(
                f"{path}: expected arrays by name, as a state_dict, but '{name}' is a "
                f"{type(value).__name__}; save the network's state_dict"
            )
    names = [str(name) for name in found]
    if all(name.startswith(_PARALLEL) for name in names):
        names = [name.removeprefix(_PARALLEL) for name in names]
    return dict(zip(names, found.values(), strict=True))


def _has_safetensors_header(content: bytes) -> bool:
    """Whether the first eight bytes are the length of a JSON object that follows them."""
    length = int.from_bytes(content[:8], "little")
    return content[8:9] == b"{" and 8 + length <= len(content)


def _from_safetensors(content: bytes, path: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        tensors = load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    except (SafetensorError, ValueError) as error:
        raise DatasetError(
            f"{path}: not a whole safetensors or PyTorch file ({error}); fetch or save it again"
        ) from error
    return tensors, header.get("__metadata__", {})


def _to_safetensors(weights: Weights) -> bytes:
    from safetensors.numpy import save

    # The format stores the buffer as it lies in memory, so it must be in C order.
    arrays = {
        name: np.ascontiguousarray(array).reshape(array.shape)
        for name, array in weights.arrays.items()
    }
    content = save(arrays, dict(weights.metadata))
    # The library writes the metadata in another order every time.
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    header["__metadata__"] = dict(sorted(header.get("__metadata__", {}).items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[end:]


def _array(tensor: Tensor, name: str, path: str) -> NDArray[Any]:
    import torch

    tensor = tensor.detach()
    if tensor.dtype == torch.bfloat16:
        tensor = tensor.float()
    try:
        return tensor.contiguous().numpy()
    except (TypeError, RuntimeError) as error:
        raise DatasetError(
            f"{path}: '{name}' is of a kind that cannot be used here ({tensor.dtype}, "
            f"{tensor.layout}); save it as float32"
        ) from error
