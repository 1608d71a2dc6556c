"""Sets of labelled images, in the formats in which people have them."""

from __future__ import annotations

import io
import logging
import re
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any, Literal

import numpy as np
import pandas as pd
from kedro.io.core import DatasetError
from numpy.typing import NDArray
from PIL import Image

from quartet.datasets.columns import format_columns
from quartet.datasets.compression import check_expansion, open_text_table
from quartet.datasets.file import InputDataset
from quartet.datasets.idx import IDXDataset
from quartet.datasets.location import Location
from quartet.datasets.picture_headers import SUFFIXES
from quartet.datasets.pictures import decode_picture, is_hidden
from quartet.datasets.utf8 import format_encoding_error

logger = logging.getLogger(__name__)

Part = Literal["train", "test"]
Content = Literal["images", "labels"]
Array = NDArray[Any]
Pictures = list[NDArray[np.uint8] | None]
"""Grey pictures of shape (h, w), of any size; None for one that cannot be read."""

_WORDS: dict[str, frozenset[str]] = {
    "train": frozenset({"train", "training"}),
    "test": frozenset({"test", "testing", "t10k", "validation", "valid", "val"}),
    "images": frozenset({"images", "image", "imgs", "img", "x", "data", "pixels"}),
    "labels": frozenset({"labels", "label", "y", "target", "targets", "classes"}),
}
"""Words of a name that say what a file or array contains."""
_LABEL_COLUMNS = ("label", "labels", "class", "digit", "target", "y", "letter", "category")
_INDEX_COLUMN = re.compile(r"(unnamed: ?\d+)?|id|index", re.I)
_TABLE_SUFFIXES = (".csv", ".tsv", ".txt")
_ARRAY_SUFFIXES = (".npz", ".npy")
_SEPARATORS = ",\t;| "
_LONGEST_SIDE = 112
"""Side in pixels to which larger pictures are scaled down when they are read: four times the 28
that the classifiers need, so that memory suffices for tens of thousands."""


class LabelledImagesDataset(InputDataset[Array | Pictures | None]):
    """Loads the images, or the labels, of the training set or the test set.

    The folder of `filepath`, or a file in its place, contains one of these:

    - four IDX files, as `filepath`, or with `train` or `test`, and `images` or `labels` in their
      names; or NumPy files (`.npy`) with such names;
    - a NumPy archive (`.npz`) with arrays such as `x_train`, `y_train`, `x_test` and `y_test`;
    - a table for each set, such as `train.csv` and `test.csv`, with a column `label`, the other
      columns being pixels; without a header, the label is the first value of a row;
    - a folder for each set, such as `train` and `test`, with a folder of pictures for each class.

    A single table, archive or folder of classes without test set is the training set; the test
    set is then None. Pictures are grey, as a list; None is one that cannot be read.

    ```yaml
    mnist_train_images:
      type: quartet.datasets.labelled_images.LabelledImagesDataset
      filepath: data/01_raw/mnist/train-images-idx3-ubyte.gz
      part: train
      content: images
    ```
    """

    def __init__(self, *, filepath: str, part: Part, content: Content, **options: Any) -> None:
        """Configure the dataset.

        Args:
            filepath: Local path or any fsspec URL of the IDX file.
            part: Which set to load, `train` or `test`.
            content: What to load of it, `images` or `labels`.
            options: `credentials`, `fs_args` and `metadata`, as for any file.
        """
        super().__init__(filepath=filepath, **options)
        self._options = {name: value for name, value in options.items() if name != "metadata"}
        self._root = self._location.parent
        self._part: Part = part
        self._content: Content = content

    def load(self) -> Array | Pictures | None:
        """Return the images or labels, in the order of the other dataset of the same set.

        Raises:
            DatasetError: There is no such set, it is not unique, or a file is damaged.
        """
        idx = self._open_idx(self._location)
        if idx.exists():
            return self._check_idx(idx.load())
        root = self._root
        if root.filesystem.isfile(root.path):
            return self._load_file(root)
        found = self._find_file(self._part, self._content)
        if found is not None:
            return self._load_file(found)
        folder = self._find_folder(self._part)
        if folder is not None:
            return self._load_folder(folder)
        if self._part == "test" and self._has_training_only():
            return None
        raise DatasetError(self._format_missing())

    def _open_idx(self, location: Location) -> IDXDataset:
        path = location.path
        if not location.is_local:
            path = location.filesystem.unstrip_protocol(path)
        return IDXDataset(filepath=path, dtype="uint8", **self._options)

    def _check_idx(self, array: Array) -> Array:
        if (array.ndim == 1) != (self._content == "labels"):
            expected = "n x 28 x 28" if self._content == "images" else "n"
            found = " x ".join(map(str, array.shape))
            raise DatasetError(
                f"{self._location.path}: expected an array of {expected}, found {found}; have the "
                "images and labels files been swapped?"
            )
        return array

    def _list(self, folder: Location, kind: Literal["file", "directory"]) -> list[Location]:
        """Return the files or folders in a folder that are not hidden, sorted."""
        names = [each["name"] for each in folder.list_entries() if each["type"] == kind]
        shown = [name for name in names if not is_hidden(PurePosixPath(name).name)]
        return [replace(folder, path=name) for name in shown]

    def _find_file(self, part: Part, content: Content) -> Location | None:
        """Return the file with a part's content: one of its own, of its part, or of all parts."""
        usable = [file for file in self._list(self._root, "file") if _is_usable(file.path)]
        tables = [
            file
            for file in usable
            if _get_plain_name(file.path).endswith((*_TABLE_SUFFIXES, ".npz"))
        ]
        own = [
            file for file in usable if _has_word(file.path, part) and _has_word(file.path, content)
        ]
        shared = [
            file
            for file in tables
            if _has_word(file.path, part)
            and not (_has_word(file.path, "images") or _has_word(file.path, "labels"))
        ]
        single = [file for file in tables if len(usable) == 1 and not _has_word(file.path, "train")]
        for candidates in (own, shared, single):
            if len(candidates) > 1:
                names = format_columns(PurePosixPath(file.path).name for file in candidates)
                raise DatasetError(
                    f"{self._root.path}: {names} may all be the {part} {content}; keep one of them"
                )
            if candidates:
                return candidates[0]
        return None

    def _find_folder(self, part: Part) -> Location | None:
        """Return the folder with a folder of pictures for each class of a part."""
        folders = self._list(self._root, "directory")
        if own := [folder for folder in folders if _has_word(folder.path, part)]:
            return own[0]
        is_split = any(
            _has_word(folder.path, each) for folder in folders for each in ("train", "test")
        )
        has_classes = part == "train" and not is_split and any(map(self._list_pictures, folders))
        return self._root if has_classes else None

    def _has_training_only(self) -> bool:
        """Return whether the folder has a training set, and nothing of a test set."""
        has_test = any(self._find_file("test", content) for content in ("images", "labels"))
        has_train = (
            self._has_idx("t10k", "train")
            or self._find_file("train", "images") is not None
            or self._find_folder("train") is not None
        )
        # If the labels of a test set are missing, or its images, it is incomplete.
        has_other_half = self._has_idx("images-idx3", "labels-idx1") or self._has_idx(
            "labels-idx1", "images-idx3"
        )
        return has_train and not has_test and not has_other_half

    def _has_idx(self, old: str, new: str) -> bool:
        """Return whether the IDX file exists whose name has `new` in place of `old`."""
        name = PurePosixPath(self._location.path).name
        other = self._root.join(name.replace(old, new))
        return other != self._location and self._open_idx(other).exists()

    def _list_pictures(self, folder: Location) -> list[Location]:
        files = self._list(folder, "file")
        return [file for file in files if file.path.lower().endswith(SUFFIXES)]

    def _load_folder(self, folder: Location) -> Array | Pictures:
        """Return the pictures of a folder for each class, or the names of these folders."""
        classes = self._list(folder, "directory")
        pictures = [(each, file) for each in classes for file in self._list_pictures(each)]
        if not pictures:
            raise DatasetError(
                f"{folder.path}: contains no folders with pictures, expected one for each class; "
                "set the folder with --params mnist_data=FOLDER"
            )
        if self._content == "labels":
            return np.array([PurePosixPath(each.path).name for each, _ in pictures])
        return [_read_picture(file) for _, file in pictures]

    def _load_file(self, location: Location) -> Array | Pictures | None:
        path = location.path
        name = _get_plain_name(path)
        if not name.endswith((*_TABLE_SUFFIXES, *_ARRAY_SUFFIXES)):
            return self._check_idx(self._open_idx(location).load())
        size = location.filesystem.size(path)
        try:
            with location.filesystem.open(path, "rb") as file:
                if name.endswith(".npy"):
                    return np.load(io.BytesIO(file.read()), allow_pickle=False)
                if name.endswith(".npz"):
                    return self._read_archive(file, size, path)
                return self._read_table(open_text_table(file, size, path), path)
        except UnicodeDecodeError as error:
            raise DatasetError(format_encoding_error(path)) from error
        except (ValueError, EOFError, zlib.error, zipfile.BadZipFile) as error:
            raise DatasetError(f"{path}: cannot be read ({error}); export it again") from error

    def _read_archive(self, file: Any, size: int | None, path: str) -> Array | None:
        with zipfile.ZipFile(file) as archive:
            check_expansion(path, size, sum(entry.file_size for entry in archive.infolist()))
        file.seek(0)
        with np.load(file, allow_pickle=False) as arrays:
            names = list(arrays)
            own = [n for n in names if _has_word(n, self._part) and _has_word(n, self._content)]
            if not own and self._is_only_part(path, names):
                own = [n for n in names if _has_word(n, self._content)]
                if not own and len(names) == 1 and _has_word(path, self._content):
                    own = names
            if len(own) == 1:
                return np.asarray(arrays[own[0]])
        if self._part == "test" and not any(_has_word(name, "test") for name in (*names, path)):
            return None
        raise DatasetError(
            f"{path}: expected one array {'xy'[self._content == 'labels']}_{self._part}, found "
            f"{format_columns(names)}; rename the arrays"
        )

    def _is_only_part(self, path: str, names: Sequence[str]) -> bool:
        """Return whether all arrays, or rows, of a file are of this part."""
        if any(_has_word(name, part) for name in names for part in ("train", "test")):
            return False
        return _has_word(path, self._part) or (
            self._part == "train" and not _has_word(path, "test")
        )

    def _read_table(self, file: Any, path: str) -> Array | None:
        if not self._is_only_part(path, ()):
            if self._part == "test":
                return None  # the only table is the training set
            raise DatasetError(f"{path}: is a test set, by its name; set a folder with both sets")
        start = file.read(1_000_000)
        file.seek(0)
        header = start.decode("utf-8-sig").splitlines()[0] if start else ""
        separator = max(_SEPARATORS, key=header.count)
        names = [name.strip().strip('"') for name in header.split(separator)]
        has_header = _is_header(names)
        options: Any = {"sep": separator, "header": 0 if has_header else None}
        if has_header:
            label, pixels = _choose_columns(names, path)
            if label is None and self._part == "test":
                logger.warning("%s: has no column of labels, so it is not used as test set", path)
                return None
        else:
            label, pixels = 0, list(range(1, len(names)))
        if label is None:
            raise DatasetError(
                f"{path}: expected a column label and one for each pixel, found "
                f"{format_columns(names)}; rename the column of the labels to label"
            )
        if self._content == "labels":
            labels = pd.read_csv(file, usecols=[label], dtype=str, keep_default_na=False, **options)
            return labels.iloc[:, 0].to_numpy(str)
        table = pd.read_csv(file, usecols=pixels, **options)
        try:
            return table.to_numpy(np.float32) if table.size else np.empty((0, 784), np.float32)
        except ValueError as error:
            raise ValueError(f"a pixel is not a number: {error}") from error

    def _format_missing(self) -> str:
        path = self._location.path
        entries = (PurePosixPath(entry["name"]).name for entry in self._root.list_entries())
        names = [name for name in entries if not is_hidden(name)]
        found = (
            f"the folder contains {format_columns(names)}"
            if names
            else "its folder is missing or empty"
        )
        return (
            f"{path}: no such file, nor other {self._part} {self._content}; {found}; expected IDX "
            "files, x_train in a .npz, train.csv, or train/CLASS/PICTURE; set --params "
            "mnist_data=FOLDER or FILE"
        )

    def _exists(self) -> bool:
        return self._location.filesystem.exists(self._root.path)

    def _describe(self) -> dict[str, Any]:
        return {**super()._describe(), "part": self._part, "content": self._content}


def _get_plain_name(path: str) -> str:
    """Return the name of a file in lower case, without the suffix of gzip."""
    return PurePosixPath(path).name.lower().removesuffix(".gz")


def _has_word(path: str, meaning: str) -> bool:
    """Return whether a name has a word of a part or content: `xTrain`, `x_train`.

    Args:
        path: Path of a file, or name of an array.
        meaning: A key of `_WORDS`.
    """
    name = PurePosixPath(path).name.removesuffix(".gz")
    stem = re.split(r"\.(?=[a-z]+$)", name, flags=re.I)[0]
    words = re.findall(r"[A-Z]?[a-z]+\d+k|[A-Z]?[a-z]+|[A-Z]+(?![a-z])", stem)
    return any(each.lower() in _WORDS[meaning] for each in words)


def _is_usable(path: str) -> bool:
    name = _get_plain_name(path)
    return name.endswith((*_TABLE_SUFFIXES, *_ARRAY_SUFFIXES)) or "idx" in name or "ubyte" in name


def _choose_columns(names: Sequence[str], path: str) -> tuple[int | None, list[int]]:
    """Return the indices of the column of labels, if any, and of the pixels."""
    lowered = [name.strip().casefold() for name in names]
    labels = [index for index, name in enumerate(lowered) if name in _LABEL_COLUMNS]
    label = labels[0] if labels else None
    pixels = [
        index
        for index, name in enumerate(lowered)
        if index != label and not _INDEX_COLUMN.fullmatch(name)
    ]
    if len(labels) > 1:
        both = " and ".join(names[index] for index in labels)
        raise DatasetError(f"{path}: {both} may all be the labels; remove all but one")
    return label, pixels


def _is_header(values: Sequence[str]) -> bool:
    """Return whether a row is not a label and pixels: it has a name, or counts the pixels."""
    pixels = list(values[1:])
    counts = ([str(start + i) for i in range(len(pixels))] for start in (0, 1))
    return any(value and not _is_number(value) for value in pixels) or pixels in counts


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _read_picture(location: Location) -> NDArray[np.uint8] | None:
    """Return a picture in grey; None, with a warning, if it cannot be read."""
    try:
        pixels = decode_picture(location.read(), _LONGEST_SIDE)
    except ValueError as error:
        logger.warning("%s cannot be read and is left out: %s", location.path, error)
        return None
    return np.array(Image.fromarray(pixels).convert("L"))
