"""Functions that each return a function that damages a copy of the project."""

from __future__ import annotations

import gzip
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import av
import numpy as np

from quartet.datasets.idx import IDXDataset

Damage = Callable[[Path], None]


def both(*damages: Damage) -> Damage:
    def do(folder: Path) -> None:
        for damage in damages:
            damage(folder)

    return do


def write(name: str, content: str | bytes) -> Damage:
    def do(folder: Path) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    return do


def remove(name: str) -> Damage:
    def do(folder: Path) -> None:
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

    return do


def make_folder(name: str) -> Damage:
    return both(remove(name), lambda folder: (folder / name).mkdir(parents=True))


def link_to_itself(name: str) -> Damage:
    return both(remove(name), lambda folder: (folder / name).symlink_to(Path(name).name))


def copy_over(source: str, name: str) -> Damage:
    return lambda folder: shutil.copyfile(folder / source, folder / name) and None


def swap(one: str, other: str) -> Damage:
    def do(folder: Path) -> None:
        contents = [(folder / name).read_bytes() for name in (other, one)]
        for name, content in zip((one, other), contents, strict=True):
            write(name, content)(folder)

    return do


def shorten(name: str, size: int) -> Damage:
    return lambda folder: write(name, (folder / name).read_bytes()[:size])(folder)


def change(name: str, old: str, new: str) -> Damage:
    def do(folder: Path) -> None:
        text = (folder / name).read_text()
        assert old in text, f"{name} no longer has {old!r}"
        write(name, text.replace(old, new, 1))(folder)

    return do


def recode(name: str, encoding: str) -> Damage:
    """Save a table, compressed or not, in another encoding."""

    def do(folder: Path) -> None:
        content = (folder / name).read_bytes()
        packed = name.endswith(".gz")
        text = (gzip.decompress(content) if packed else content).decode() + "é\n"
        coded = text.encode(encoding, errors="replace")
        write(name, gzip.compress(coded) if packed else coded)(folder)

    return do


def change_arrays(function: Callable[[np.ndarray], np.ndarray], *names: str) -> Damage:
    """Apply a function to the arrays of IDX files."""

    def do(folder: Path) -> None:
        for name in names:
            dataset = IDXDataset(filepath=str(folder / name))
            dataset.save(function(dataset.load()))

    return do


def execute(name: str, statements: str) -> Damage:
    def do(folder: Path) -> None:
        with closing(sqlite3.connect(folder / name)) as connection:
            connection.executescript(statements)
            connection.commit()

    return do


def make_video(name: str, frames: int, *, sound: bool = False) -> Damage:
    """Write a small video; without frames and with sound, a file of sound only."""

    def do(folder: Path) -> None:
        with av.open(str(folder / name), "w") as container:
            if frames:
                picture = container.add_stream("libx264", rate=10)
                picture.width, picture.height, picture.pix_fmt = 64, 48, "yuv420p"
                for number in range(frames):
                    pixels = np.full((48, 64, 3), 9 * number, np.uint8)
                    frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                    container.mux(picture.encode(frame))
                container.mux(picture.encode())
            if sound:
                noise = container.add_stream("aac", rate=44_100)
                silence = np.zeros((1, 44_100), np.float32)
                heard = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
                heard.sample_rate = 44_100
                container.mux(noise.encode(heard))
                container.mux(noise.encode())

    return do


def own_registry(damage: Damage) -> Damage:
    """Make a copied project read models from its own folder, and damage them."""

    def do(folder: Path) -> None:
        with closing(sqlite3.connect(folder / "mlflow.db")) as connection:
            for column in ("source", "storage_location"):
                connection.execute(
                    f"UPDATE model_versions SET {column} = ? || substr({column}, "
                    f"instr({column}, '/mlartifacts'))",
                    (f"file://{folder}",),
                )
            connection.commit()
        damage(folder)

    return do


def damage_all(pattern: str, change_content: Callable[[bytes], bytes]) -> Damage:
    def do(folder: Path) -> None:
        found = list(folder.glob(pattern))
        assert found, f"nothing is called {pattern}"
        for path in found:
            path.write_bytes(change_content(path.read_bytes()))

    return do
