"""Whatever is in an input file, it is read or refused in one line; nothing else may happen."""

import bz2
import gzip
import io
import random
import re
import struct
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from kedro.io import DatasetError

from faq.test_dump import answer, document, link, question
from faq.test_tables import make_tables
from quartet.datasets.dump import DumpFileDataset
from quartet.datasets.idx import IDXDataset
from quartet.datasets.report import ReportDataset
from quartet.datasets.tables import QuestionsDataset, TSVDataset
from quartet.digits.data import check_trainable, pair_digits
from quartet.faq.cleaning import clean_text, has_banner
from quartet.faq.settings import Cleaning, DumpSelection
from quartet.pipelines.faq_ingestion.nodes import ingest_dump
from quartet.pipelines.faq_tuning.nodes import clean_tables

QUICK = 20
MANY = 100
COLUMNS = ["Id", "AnswerId", "Text0", "CreationDate"]
POSTS = b"".join(
    document(
        "posts",
        *(question(number, Body=f"<p>body &lt;b> {number}</p>") for number in (1, 2, 3, 4)),
        answer(10, 1),
        answer(20, 2),
    )
)
LINKS = b"".join(document("postlinks", link(3, 1), link(4, 2)))
SNIPPETS = [
    b"", b"\0", b"\xff", b"\xef\xbb\xbf", b"<", b">", b"&", b'"', b"'", b"\t", b"\r", b"\n", b",",
    b"&#x1F;", b"&#0;", b"&#xFFFFFFFFFFFF;", b"&lol;", b"<!--", b"]]>", b"<row ", b"/>",
    b'"' * 3, b"-1", b"9" * 30, b"1e999", b"=1+1", b"\xed\xa0\x80", b"\x1f\x8b", b"BZh9",
]  # fmt: skip


def mutate(content: bytes, seed: int) -> bytes:
    """Change a few places of a file: bits, bytes, snippets, and its end."""
    chance = random.Random(seed)
    changed = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(changed) + 1)
        length = chance.choice([0, 1, 2, 4, 30])
        match chance.randrange(6):
            case 0 if place < len(changed):
                changed[place] ^= 1 << chance.randrange(8)
            case 1:
                changed[place : place + length] = chance.randbytes(length)
            case 2:
                changed[place : place + length] = chance.choice(SNIPPETS)
            case 3:
                changed[place:place] = changed[max(0, place - 80) : place] * chance.randint(1, 3)
            case 4:
                del changed[place : place + length]
            case _ if chance.random() < 0.2:
                del changed[place:]
    return bytes(changed)


def read_dump(path: Path, content: bytes) -> None:
    links = path.with_name("PostLinks.xml")
    links.write_bytes(LINKS)
    path.write_bytes(content)
    ingest(path, links)


def read_links(path: Path, content: bytes) -> None:
    posts = path.with_name("Posts.xml")
    posts.write_bytes(POSTS)
    path.write_bytes(content)
    ingest(posts, path)


def ingest(posts: Path, links: Path) -> None:
    files = [DumpFileDataset(filepath=str(path)).load() for path in (posts, links)]
    tables = ingest_dump(*files, DumpSelection(tag="js"))
    for name, table in zip(("o", "d"), tables[:2], strict=True):
        dataset = TSVDataset(filepath=str(posts.with_name(f"{name}.tsv.gz")), columns=COLUMNS)
        dataset.save(table)
        assert len(dataset.load()) == sum(len(chunk) for chunk in table)
    save_report(posts.parent, tables[3])


def save_report(folder: Path, table: pd.DataFrame) -> None:
    path = folder / "report.csv"
    ReportDataset(filepath=str(path), save_args={"index": False}).save(table)
    assert len(pd.read_csv(path, dtype=str, keep_default_na=False)) == len(table)


def read_table(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    loaded = TSVDataset(filepath=str(path), columns=COLUMNS).load()
    originals, _, answers = make_tables()
    quarantine = clean_tables(originals, loaded, answers, Cleaning(min_text=5))[3]
    save_report(path.parent, quarantine)


def read_questions(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    table = QuestionsDataset(filepath=str(path)).load()
    assert list(table) == ["Id", "Text0"]
    for text in table["Text0"]:
        assert clean_text(text) == " ".join(clean_text(text).split())
        has_banner(text)
    save_report(path.parent, table)


def read_images(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    images = IDXDataset(filepath=str(path), dtype="uint8").load()
    labels = IDXDataset(filepath=str(path.with_name("labels")), dtype="uint8")
    labels.save(pd.Series([0, 0, 1, 1], dtype="uint8").to_numpy())
    check_trainable(pair_digits(images, labels.load(), "training"))


def read_labels(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    labels = IDXDataset(filepath=str(path), dtype="uint8").load()
    pair_digits(read_images_of(4), labels, "training")


def read_images_of(count: int):
    return pd.Series([0] * (784 * count), dtype="uint8").to_numpy().reshape(count, 28, 28)


def parquet(table: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    table.to_parquet(buffer)
    return buffer.getvalue()


TABLE = make_tables()[1][COLUMNS].to_csv(sep="\t", header=False, index=False).encode()
QUESTIONS = pd.DataFrame(
    {
        "Id": range(5),
        "Title": ["a<b", "x & y", "", "é", "z"],
        "Body": ["<p>c</p>", "d", "", "", "e"],
    }
)
CSV = QUESTIONS.to_csv(index=False).encode()
IMAGES = struct.pack(">BBBBIII", 0, 0, 8, 3, 4, 28, 28) + bytes(784 * 4)
LABELS = struct.pack(">BBBBI", 0, 0, 8, 1, 4) + bytes([0, 0, 1, 1])
INPUTS: dict[str, tuple[bytes, Callable[[Path, bytes], None]]] = {
    "Posts.xml": (POSTS, read_dump),
    "Posts.xml.gz": (gzip.compress(POSTS, mtime=0), read_dump),
    "Posts.xml.bz2": (bz2.compress(POSTS), read_dump),
    "PostLinks.xml": (LINKS, read_links),
    "dup-q.tsv": (TABLE, read_table),
    "dup-q.tsv.gz": (gzip.compress(TABLE, mtime=0), read_table),
    "q.csv": (CSV, read_questions),
    "q.csv.gz": (gzip.compress(CSV, mtime=0), read_questions),
    "q.parquet": (parquet(QUESTIONS), read_questions),
    "images": (IMAGES, read_images),
    "images.gz": (gzip.compress(IMAGES, mtime=0), read_images),
    "labels-idx1-ubyte": (LABELS, read_labels),
}


def check(folder: Path, name: str, seeds: range) -> int:
    """Read mutated inputs; return how many were refused."""
    content, read = INPUTS[name]
    refused = 0
    for seed in seeds:
        try:
            read(folder / name, mutate(content, seed))
        except (DatasetError, ValueError) as error:
            refused += 1
            message = f"seed {seed}: {type(error).__name__}: {error}"
            assert type(error) in (DatasetError, ValueError), message
            assert len(str(error)) < 3_000, message
            assert re.search(r"[;,:] (\w+ )*\w+", str(error)), message
            str(error).encode()
    return refused


@pytest.mark.parametrize("name", INPUTS)
def test_input_is_read_as_it_is(tmp_path: Path, name: str) -> None:
    content, read = INPUTS[name]
    read(tmp_path / name, content)


@pytest.mark.parametrize("name", INPUTS)
def test_mutated_input_is_read_or_refused(tmp_path: Path, name: str) -> None:
    assert 0 < check(tmp_path, name, range(QUICK)) <= QUICK


@pytest.mark.integration
@pytest.mark.parametrize("name", INPUTS)
def test_many_mutated_inputs_are_read_or_refused(tmp_path: Path, name: str) -> None:
    check(tmp_path, name, range(QUICK, QUICK + MANY))
