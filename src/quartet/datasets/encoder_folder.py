"""Folders of sentence encoders: a network in ONNX, its tokenizer and configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from kedro.io.core import DatasetError

from quartet.datasets.file import InputDataset
from quartet.datasets.location import Location

AUTO, LEXICAL = "auto", "lexical"
"""Values of `encoder` that are no folder: the fetched encoder, if there is one; and none."""
_TOKENIZER = "tokenizer.json"
_HINT = "a sentence encoder is one .onnx file and tokenizer.json; `kedro fetch encoder` brings one"


@dataclass(frozen=True)
class EncoderFolder:
    """The files of a sentence encoder.

    Attributes:
        path: The folder, as it was configured.
        files: Contents of the files by name; the network is `model.onnx`.
    """

    path: str
    files: Mapping[str, bytes]


class EncoderFolderDataset(InputDataset[EncoderFolder | None]):
    """Loads the files of a sentence encoder, in the layout of Sentence Transformers.

    The network is the only `.onnx` file of the folder or of its folder `onnx`, under any name.

    ```yaml
    sentence_encoder:
      type: quartet.datasets.encoder_folder.EncoderFolderDataset
      encoder: ${runtime_params:faq_features.encoder,auto}
      folder: data/01_raw/encoder
    ```
    """

    def __init__(
        self, *, encoder: str, folder: str, configs: Sequence[str] = (), **options: Any
    ) -> None:
        """Configure the dataset.

        Args:
            encoder: Folder of the encoder, a local path or any fsspec URL; `auto` for `folder` if
                it exists; `lexical` for no encoder.
            folder: Folder of the encoder that is fetched, which may be missing.
            configs: Names of configuration files to load as well, where they exist.
            options: `credentials`, `fs_args` and `metadata`, as for any file.
        """
        self._encoder = encoder
        self._path = folder if encoder in (AUTO, LEXICAL) else encoder
        self._configs = tuple(configs)
        super().__init__(filepath=self._path, **options)

    def load(self) -> EncoderFolder | None:
        """Return the files; None for no encoder.

        Raises:
            DatasetError: The folder is missing, lacks the network or the tokenizer, or has several
                networks.
        """
        location = self._find_folder()
        if location is None:
            return None
        files = {"model.onnx": replace(location, path=self._find_network(location)).read()}
        for name in (_TOKENIZER, *self._configs):
            file = location.join(name)
            if file.exists():
                files[name] = file.read()
        if _TOKENIZER not in files:
            raise DatasetError(_format_missing(location))
        return EncoderFolder(self._path, files)

    def check_at_start(self) -> None:
        """Check that the folder exists and has one network and a tokenizer.

        Raises:
            DatasetError: As for `load`.
        """
        location = self._find_folder()
        if location is not None:
            self._find_network(location)
            if not location.join(_TOKENIZER).exists():
                raise DatasetError(_format_missing(location))

    def _find_folder(self) -> Location | None:
        """Return the folder; None for no encoder."""
        location = self._location
        if self._encoder == LEXICAL:
            return None
        location.filesystem.invalidate_cache()
        if location.filesystem.isdir(location.path):
            return location
        if self._encoder == AUTO:
            return None
        raise DatasetError(f"{location.path}: no such folder; {_HINT}")

    def _find_network(self, location: Location) -> str:
        """Return the path of the only network."""
        filesystem, path = location.filesystem, location.path.rstrip("/")
        networks = sorted(
            file
            for folder in (path, f"{path}/onnx")
            if filesystem.isdir(folder)
            for file in filesystem.ls(folder, detail=False)
            if str(file).endswith(".onnx")
            and not PurePosixPath(file).name.startswith(".")  # such as macOS's ._model.onnx
            and filesystem.isfile(file)
        )
        if len(networks) == 1:
            return str(networks[0])
        names = ", ".join(PurePosixPath(file).name for file in networks) or "none"
        raise DatasetError(f"{path}: has {len(networks)} .onnx files ({names}); {_HINT}")

    def _exists(self) -> bool:
        is_optional = self._encoder in (AUTO, LEXICAL)
        return is_optional or bool(self._location.filesystem.isdir(self._location.path))

    def _describe(self) -> dict[str, Any]:
        return {"encoder": self._encoder}


def _format_missing(location: Location) -> str:
    return f"{location.path}: {_TOKENIZER} is missing; {_HINT}"
