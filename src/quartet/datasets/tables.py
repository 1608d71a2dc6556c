"""Tables of text as others deliver them: header-less TSV, and questions in any of three formats."""

from __future__ import annotations

import csv
import gzip
import io
import sys
import zlib
from collections.abc import Iterable
from typing import IO, Any, Literal

import pandas as pd
from kedro.io.core import DatasetError

from quartet.datasets.file import FileDataset, InputDataset
from quartet.datasets.utf8 import check_not_utf16, format_encoding_error

Frames = pd.DataFrame | Iterable[pd.DataFrame]

csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # a post may be longer than the usual limit


class TSVDataset(FileDataset[Frames, pd.DataFrame]):
    """Loads and saves a table of tab-separated values without a header.

    Values are loaded as text, with the further column `line`, the number of
    the row's first line. A row with another number of columns has missing values
    in all of them but the first; bytes that are no UTF-8 become surrogates (as with
    Python's `surrogateescape`): whoever uses the table sets such rows aside. A
    value may stand in double quotes. Content tells whether a file is packed by gzip;
    one whose name ends in `.gz` is saved so. Where `name.tsv.gz` is missing, `name.tsv`
    is loaded, and the other way round.

    ```yaml
    faq_answers:
      type: quartet.datasets.tables.TSVDataset
      filepath: data/01_raw/faq/ans.tsv.gz
      columns: [Id, Text0]
    ```
    """

    suffixes = (".gz",)

    def __init__(self, *, filepath: str, columns: list[str], **options: Any) -> None:
        """Describe the file.

        Args:
            filepath: Local path or any fsspec URL.
            columns: Names of its columns, in their order.
            options: `credentials`, `fs_args` and `metadata`, as for any file.
        """
        super().__init__(filepath=filepath, **options)
        self._columns = columns

    def load(self) -> pd.DataFrame:
        """Return the table.

        Raises:
            DatasetError: The file is missing, damaged, empty or UTF-16, or no row has the right
                columns.
        """
        location = self._existing()
        if location is None:
            raise DatasetError(
                f"{self._location.path}: no such file; give the folder that holds it, or run the "
                "pipeline that makes it"
            )
        path = location.path
        try:
            with location.filesystem.open(path, "rb") as file:
                content = _unpacked(file, path)
                check_not_utf16(content, path)
                return self._parse(content, path)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise DatasetError(f"{path}: damaged gzip file ({error}); fetch it again") from error
        except csv.Error as error:
            raise DatasetError(f"{path}: not a table of text ({error})") from error

    def _parse(self, file: IO[bytes], path: str) -> pd.DataFrame:
        width = len(self._columns)
        rows: list[list[Any]] = []
        whole, first, before = 0, None, 0
        text = io.TextIOWrapper(file, "utf-8-sig", errors="surrogateescape", newline="")
        reader = csv.reader(text, delimiter="\t")
        for row in reader:
            line, before = before + 1, reader.line_num
            if not row:
                continue
            first = first or row
            if len(row) == width:
                whole += 1
                rows.append([*row, line])
            else:
                rows.append([row[0], *[None] * (width - 1), line])
        text.detach()  # whoever opened the file closes it
        if not rows:
            raise DatasetError(f"{path}: is empty, expected a row at least; give it anew")
        if not whole:
            raise DatasetError(
                f"{path}: expected {width} tab-separated columns "
                f"({', '.join(self._columns)}) and no header, found {len(first or [])} columns"
            )
        return pd.DataFrame(rows, columns=[*self._columns, "line"])

    def save(self, data: Frames) -> None:
        """Write one table, or several one after the other, replacing the file as a whole."""
        frames = [data] if isinstance(data, pd.DataFrame) else data
        location = self._location
        with location.filesystem.open(location.path, "wb") as file:
            if not location.path.endswith(".gz"):
                self._write(frames, file)
                return
            # No time stamp and no name: same table, same bytes.
            with gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed:
                self._write(frames, packed)

    def _write(self, frames: Iterable[pd.DataFrame], file: Any) -> None:
        for frame in frames:
            text = frame[self._columns].to_csv(
                sep="\t", header=False, index=False, lineterminator="\n"
            )
            file.write(text.encode("utf-8"))

    def _describe(self) -> dict[str, Any]:
        return {**super()._describe(), "columns": self._columns}


class QuestionsDataset(InputDataset[pd.DataFrame]):
    """Loads questions from a table with a header: TSV, CSV or Parquet, as its name says.

    The text is the column `Text0`, or `Title` and `Body` joined; `Id` names a
    question, or else its number in the file does.

    ```yaml
    faq_new_questions:
      type: quartet.datasets.tables.QuestionsDataset
      filepath: data/01_raw/faq/new-questions.csv
    ```
    """

    def load(self) -> pd.DataFrame:
        """Return the columns `Id` and `Text0`.

        Raises:
            DatasetError: The file is missing, damaged, of another format, or lacks the columns.
        """
        path = self._location.path
        try:
            with self._location.filesystem.open(path, "rb") as file:
                table = self._read(file)
        except FileNotFoundError as error:
            raise DatasetError(f"{path}: no such file; name it by faq_questions=FILE") from error
        except UnicodeDecodeError as error:
            raise DatasetError(format_encoding_error(path)) from error
        except pd.errors.EmptyDataError as error:
            raise DatasetError(
                f"{path}: is empty, expected a header with Text0, or Title and Body"
            ) from error
        except (ValueError, OSError, EOFError) as error:
            if isinstance(error, OSError) and error.errno:
                raise  # no word of tables is needed to tell of a folder, or of missing rights
            raise DatasetError(f"{path}: cannot be read as a table ({error})") from error
        return self._questions(table)

    def _read(self, file: Any) -> pd.DataFrame:
        suffixes = self._filepath.suffixes
        kind = next((suffix for suffix in reversed(suffixes) if suffix != ".gz"), "none")
        if kind == ".parquet":
            return pd.read_parquet(file)
        separators = {".csv": ",", ".tsv": "\t"}
        if kind not in separators:
            known = ".csv, .tsv (either also with .gz), .parquet"
            raise ValueError(f"its name ends in {kind}; known: {known}")
        packed: Literal["gzip"] | None = "gzip" if suffixes[-1] == ".gz" else None
        return pd.read_csv(
            file, sep=separators[kind], compression=packed, keep_default_na=False, dtype=str
        )

    def _questions(self, table: pd.DataFrame) -> pd.DataFrame:
        if "Text0" in table:
            text = table["Text0"]
        elif {"Title", "Body"} <= set(table):
            title, body = (table[name].fillna("").str.strip() for name in ("Title", "Body"))
            text = title + (title != "").map({True: ". ", False: ""}) + body
        else:
            raise DatasetError(
                f"{self._location.path}: expected a column Text0, or Title and Body; found "
                f"{', '.join(map(str, table))}"
            )
        numbers = table["Id"] if "Id" in table else pd.RangeIndex(1, len(table) + 1)
        return pd.DataFrame({"Id": numbers, "Text0": text.fillna("").astype(str)})


def _unpacked(file: Any, path: str) -> Any:
    """The file's content, whether or not it is packed; the first bytes tell."""
    magic = file.read(2)
    file.seek(0)
    return gzip.GzipFile(path, "rb", fileobj=file) if magic == b"\x1f\x8b" else file
