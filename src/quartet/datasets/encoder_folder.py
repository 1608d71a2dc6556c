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
        files = {name: file.read() for name, file in self._list_files(location).items()}
        return EncoderFolder(self._path, files)

    def check_at_start(self) -> None:
        """Check that the folder has one network and a tokenizer; errors as for `load`."""
        location = self._find_folder()
        if location is not None:
            self._list_files(location)

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

    def _list_files(self, location: Location) -> dict[str, Location]:
        """Return the only network, the tokenizer and the configuration files that exist."""
        networks = [
            each["name"]
            for folder in (location, location.join("onnx"))
            for each in folder.list_entries()
            if each["type"] == "file"
            and PurePosixPath(each["name"]).match("[!.]*.onnx")  # not macOS's ._model.onnx
        ]
        if len(networks) != 1:
            names = ", ".join(PurePosixPath(file).name for file in networks) or "none"
            raise DatasetError(
                f"{location.path}: has {len(networks)} .onnx files ({names}); {_HINT}"
            )
        others = {name: location.join(name) for name in (_TOKENIZER, *self._configs)}
        files = {name: file for name, file in others.items() if file.exists()}
        if _TOKENIZER not in files:
            raise DatasetError(f"{location.path}: {_TOKENIZER} is missing; {_HINT}")
        return {"model.onnx": replace(location, path=networks[0]), **files}

    def _exists(self) -> bool:
        is_optional = self._encoder in (AUTO, LEXICAL)
        return is_optional or bool(self._location.filesystem.isdir(self._location.path))

    def _describe(self) -> dict[str, Any]:
        return {"encoder": self._encoder}
