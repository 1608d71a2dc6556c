"""Weights of networks in safetensors and PyTorch files."""

from __future__ import annotations

import hashlib
import io
import json
import re
import warnings
import zipfile
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
"""First bytes of PyTorch files: zip archives, and pickles from before 2020.
The header length of a safetensors file may start with the same bytes."""
_WRAPPERS = ("state_dict", "model_state_dict", "model", "network", "net", "weights")
"""Keys of the weights in checkpoints that contain more, such as an optimiser."""
_CHECKSUM = "arrays_sha256"
"""Key of the checksum in the metadata of a safetensors file."""
_FOLDER = 0x10
"""Attribute of a folder in a zip archive."""
_PARALLEL = "module."
"""Prefix of all names if the network was trained with PyTorch's DataParallel."""


@dataclass(frozen=True)
class Weights:
    """Weights of a network.

    Attributes:
        name: Name of the file without suffix: of the weights of a style, its name.
        arrays: Arrays by name; bfloat16, which NumPy lacks, is converted to float32.
        metadata: Metadata in the header of the safetensors file, except the checksum.
    """

    name: str
    arrays: Mapping[str, NDArray[Any]]
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def sha256(self) -> str:
        """SHA-256 over names, types, shapes and values of the arrays, hexadecimal."""
        digest = hashlib.sha256()
        for name, array in sorted(self.arrays.items()):
            digest.update(repr((name, array.dtype.str, array.shape)).encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


class WeightsDataset(FileDataset[Weights, Weights]):
    """Loads weights from a safetensors or PyTorch file, and saves them as safetensors.

    The format is detected from the content. If `NAME.safetensors` is missing, `NAME.pth`,
    `NAME.pt` and `NAME.model` are tried. A PyTorch file is a pickle, which can contain code:
    only tensors are loaded from it (`weights_only`). They may be part of a checkpoint, under
    `state_dict` or a similar key, and their names may start with `module.`.

    Saved files contain the checksum of their arrays, which is checked on loading, as are the CRC-32
    of PyTorch's zip archives. PyTorch's pickles from before 2020 have none. Weights that are not
    finite are refused.

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
        name: str | None = None,
        kind: str | None = "style",
        prefix: str = "",
        hint: str = "set the file that contains the weights",
        **options: Any,
    ) -> None:
        """Configure the dataset.

        Args:
            filepath: Local path or any fsspec URL.
            name: Name in the path that a user chooses, which must not lead to another folder.
            kind: What a file of this folder is to users. If set, the message about a missing
                file lists the names of the others. The message about an invalid name advises
                the runtime parameter `KIND_weights`, which the catalog has to read.
            prefix: Only arrays whose names start with it are loaded.
            hint: End of the message if the file is missing: what to do.
            options: `credentials`, `fs_args` and `metadata`, as for any file.

        Raises:
            DatasetError: The name is not a plain file name.
        """
        if name is not None:
            _check_name(name, kind or "weights")
        super().__init__(filepath=filepath, **options)
        self._kind = kind
        self._prefix = prefix
        self._hint = hint

    def load(self) -> Weights:
        """Return the weights.

        Raises:
            DatasetError: The file is missing or damaged, contains code or no named arrays, or
                its arrays are not finite or not those of its checksum.
        """
        location = self._find()
        if location is None:
            raise DatasetError(self._format_missing())
        path, content = location.path, location.read()
        if content.startswith(_PICKLED) and not _has_safetensors_header(content):
            tensors, metadata = _from_pickle(content, path), dict[str, str]()
        else:
            tensors, metadata = _from_safetensors(content, path)
        arrays = {name: _to_array(tensor, name, path) for name, tensor in tensors.items()}
        if expected := metadata.pop(_CHECKSUM, None):
            _check_checksum(arrays, expected, path)
        arrays = {name: each for name, each in arrays.items() if name.startswith(self._prefix)}
        if not arrays:
            raise DatasetError(f"{path}: contains no weights named {self._prefix}…; {self._hint}")
        _check_finite(arrays, path)
        return Weights(PurePosixPath(path).stem, arrays, metadata)

    def save(self, data: Weights) -> None:
        """Write arrays and metadata; the same weights give the same bytes.

        Raises:
            DatasetError: The path does not end in `.safetensors`.
        """
        if not self._location.path.endswith(".safetensors"):
            raise DatasetError(
                f"{self._location.path}: weights are saved as safetensors only; change the suffix "
                "to .safetensors"
            )
        self._location.write(_to_safetensors(data))

    def _format_missing(self) -> str:
        path = PurePosixPath(self._location.path)
        found = (PurePosixPath(each["name"]) for each in self._location.parent.list_entries())
        names = sorted({each.stem for each in found if each.suffix in self.suffixes})
        if self._kind is None or not names:
            return f"{path}: no such file; {self._hint}"
        return f"unknown {self._kind} '{path.stem}'; known: {', '.join(names)} ({path.parent})"


def _check_name(name: str, kind: str) -> None:
    """Check that a name contains no path.

    Raises:
        DatasetError: It does, or is hidden or empty.
    """
    if not name or name.startswith(".") or re.search(r"[/\\\x00-\x1f]", name):
        raise DatasetError(
            f"{kind} '{name}': a name contains no / or \\ and does not start with a dot; to use a "
            f"file of another folder, set {kind}_weights=FILE"
        )


def _check_finite(arrays: Mapping[str, NDArray[Any]], path: str) -> None:
    """Check that all values are numbers.

    Raises:
        DatasetError: One is not; pictures would be black.
    """
    for name, array in arrays.items():
        if array.dtype.kind in "fc" and not np.isfinite(array).all():
            count = int(array.size - np.isfinite(array).sum())
            raise DatasetError(
                f"{path}: '{name}' contains {count} values that are NaN or infinite; the training "
                "diverged or the file is damaged: download it or train again"
            )


def _check_checksum(arrays: Mapping[str, NDArray[Any]], expected: str, path: str) -> None:
    """Check the arrays of a file against its checksum.

    Raises:
        DatasetError: They differ.
    """
    found = Weights("", arrays).sha256
    if found != expected:
        raise DatasetError(
            f"{path}: the weights are damaged (SHA-256 {found[:12]}…, expected {expected[:12]}…); "
            "restore the file or train again"
        )


def _from_pickle(content: bytes, path: str) -> dict[str, Tensor]:
    if content.startswith(b"PK"):
        _check_archive(content, path)
    return _flatten(_unpickle(content, path), path)


def _check_archive(content: bytes, path: str) -> None:
    """Check the files of a zip archive against their CRC-32, which PyTorch does not.

    Raises:
        DatasetError: One differs.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            if not any(member.CRC for member in members):
                return  # saved without, by PyTorch's `set_crc32_options(False)`
            # PyTorch reads nothing from what is marked as a folder, and leaves its memory as it is.
            # Real folders, which other programs add, have no content.
            marked = (each for each in members if each.external_attr & _FOLDER and each.file_size)
            damaged = archive.testzip() or next((each.filename for each in marked), None)
    except Exception as error:  # damaged headers raise any exception
        raise DatasetError(
            f"{path}: not a complete file of weights ({error}); download or save it again"
        ) from error
    if damaged is not None:
        raise DatasetError(
            f"{path}: the weights are damaged ({damaged} has another CRC-32 or type); download or "
            "save the file again"
        )


def _unpickle(content: bytes, path: str) -> Any:
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the pickle protocol
            return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # damaged pickles raise any exception
        code = re.search(r"GLOBAL ([\w.]+)", str(error))
        if code:
            raise DatasetError(
                f"{path}: not loaded, because it contains more than arrays ({code[1]}) and could "
                "run code; save the network's state_dict, preferably as safetensors"
            ) from error
        reason = " ".join(str(error).split()) or type(error).__name__
        if len(reason) > 200:  # PyTorch's advice, with the reason near the end
            reason = re.sub(r".*error: ?", "", re.sub(r" Check the doc.*", "", reason))[:200]
        raise DatasetError(
            f"{path}: not a complete file of weights ({reason}); download or save it again"
        ) from error


def _flatten(loaded: Any, path: str) -> dict[str, Tensor]:
    """Return tensors by name, extracted from a checkpoint if they are part of one."""
    import torch

    if isinstance(loaded, Mapping):
        nested = (loaded[name] for name in _WRAPPERS if isinstance(loaded.get(name), Mapping))
        loaded = next(nested, loaded)
    if not isinstance(loaded, Mapping) or not loaded:
        found = "nothing" if isinstance(loaded, Mapping) else f"a {type(loaded).__name__}"
        raise DatasetError(
            f"{path}: expected arrays by name, as a state_dict, found {found}; save the network's "
            "state_dict"
        )
    for name, value in loaded.items():
        if not isinstance(value, torch.Tensor):
            raise DatasetError(
                f"{path}: expected arrays by name, as a state_dict, but '{name}' is a "
                f"{type(value).__name__}; save the network's state_dict"
            )
    names = [str(name) for name in loaded]
    if all(name.startswith(_PARALLEL) for name in names):
        names = [name.removeprefix(_PARALLEL) for name in names]
    return dict(zip(names, loaded.values(), strict=True))


def _has_safetensors_header(content: bytes) -> bool:
    """Return whether the first eight bytes are the length of a following JSON object."""
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
            f"{path}: not a complete safetensors or PyTorch file ({error}); download or save it "
            "again"
        ) from error
    return tensors, header.get("__metadata__", {})


def _to_safetensors(weights: Weights) -> bytes:
    from safetensors.numpy import save

    # The library saves the memory buffer, which must be in C order. `ascontiguousarray` gives a
    # scalar a dimension, which `reshape` removes.
    arrays = {
        name: np.ascontiguousarray(array).reshape(array.shape)
        for name, array in weights.arrays.items()
    }
    content = save(arrays, {**weights.metadata, _CHECKSUM: Weights("", arrays).sha256})
    # The library writes the metadata in random order.
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    header["__metadata__"] = dict(sorted(header.get("__metadata__", {}).items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[end:]


def _to_array(tensor: Tensor, name: str, path: str) -> NDArray[Any]:
    import torch

    tensor = tensor.detach()
    if tensor.dtype == torch.bfloat16:
        tensor = tensor.float()
    try:
        return tensor.contiguous().numpy()
    except (TypeError, RuntimeError) as error:
        raise DatasetError(
            f"{path}: '{name}' has an unsupported type ({tensor.dtype}, {tensor.layout}); save it "
            "as float32"
        ) from error
