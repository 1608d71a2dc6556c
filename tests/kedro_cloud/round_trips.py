"""Round trips of each kind of dataset; each asserts that it loads what it saved."""

import struct

import av
import numpy as np
import pandas as pd
import plotly.graph_objects
import pyarrow as pa
import pytest
from kedro.io import DataCatalog, DatasetError
from matplotlib.figure import Figure

from quartet.datasets.checkpoint import CheckpointState
from quartet.datasets.media import encode_picture
from quartet.datasets.torch_weights import Weights
from stored import ON_BLOBS, catalog_on_blobs
from support import ROOT

PIXELS = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
TABLE = pd.DataFrame({"a": [1, 2], "b": ["grüße", "x"]})


def dataset(name):
    catalog = DataCatalog.from_config({name: catalog_on_blobs()[name]})
    return catalog.get(name)


def path_of(name):
    entry = catalog_on_blobs()[name]
    place = next(entry[key] for key in ("filepath", "path", "folder") if key in entry)
    return place.removeprefix(ON_BLOBS)


def idx(name, blobs):
    array = np.arange(8, dtype=np.uint8).reshape((2, 2, 2) if "images" in name else 8)
    dataset(name).save(array)
    assert (dataset(name).load() == array).all()


def labelled_images(name, blobs):
    content = catalog_on_blobs()[name]["content"]
    array = np.arange(8, dtype=np.uint8)
    if content == "images":
        array = array.reshape(2, 2, 2)
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    blobs.pipe_file(path_of(name).replace("t10k", "test"), header + array.tobytes())
    assert (dataset(name).load() == array).all()


def encoder(name, blobs):
    assert dataset(name).load() is None  # none was uploaded
    for file, content in {"tokenizer.json": b"{}", "onnx/model.onnx": b"network"}.items():
        blobs.pipe_file(f"{path_of(name)}/{file}", content)
    files = dataset(name).load().files
    assert files == {"tokenizer.json": b"{}", "model.onnx": b"network"}


def facts(name, blobs):
    dataset(name).save({"value": 1.5, "name": "grüße"})
    assert dataset(name).load() == {"value": 1.5, "name": "grüße"}


def table(name, blobs):
    dataset(name).save(TABLE)
    pd.testing.assert_frame_equal(dataset(name).load(), TABLE)


def text_table(name, blobs):
    columns = catalog_on_blobs()[name]["columns"]
    dataset(name).save([pd.DataFrame([["grüße\t", *"x" * (len(columns) - 1)]], columns=columns)])
    loaded = dataset(name).load()
    assert list(loaded) == [*columns, "line"]
    assert loaded[columns[0]][0] == "grüße\t"


def question_table(name, blobs):
    table = catalog_on_blobs()[name]["table"]
    folder = path_of(name).rpartition("/")[0]
    blobs.pipe_file(f"{folder}/{table}.csv", b"Id,AnswerId,Text0\nQ-1,A-1,How?\n")
    assert list(dataset(name).load()["Text0"]) == ["How?"]


def questions(name, blobs):
    blobs.pipe_file(path_of(name), b"Text0\nHow?\n")
    assert list(dataset(name).load()["Text0"]) == ["How?"]


def figure(name, blobs):
    drawing = Figure()
    drawing.subplots().plot([1, 2])
    dataset(name).save(drawing)
    assert blobs.cat_file(path_of(name)).startswith(b"\x89PNG")


def interactive_figure(name, blobs):
    drawing = plotly.graph_objects.Figure(layout={"title": "grüße"})
    dataset(name).save(drawing)
    assert dataset(name).load() == drawing
    assert blobs.exists(path_of(name))


def text(name, blobs):
    dataset(name).save("# grüße\n")
    assert dataset(name).load() == "# grüße\n"


def content(name, blobs):
    dataset(name).save(b"\x00\xff")
    assert dataset(name).load() == b"\x00\xff"


def arrays(name, blobs):
    dataset(name).save({"a": np.eye(3), "b": np.arange(4)})
    loaded = dataset(name).load()
    assert loaded.keys() == {"a", "b"}
    assert (loaded["a"] == np.eye(3)).all()


def labels(name, blobs):
    assert len(dataset(name).load()) == 0
    times = pd.to_datetime(["2026-03-02T08:30:00"])
    event = {"device": ["d"], "sensor": ["s"], "start": times, "end": times, "kind": ["stuck"]}
    dataset(name).save(pd.DataFrame(event))
    pd.testing.assert_frame_equal(dataset(name).load(), pd.DataFrame(event), check_dtype=False)


def dump(name, blobs):
    dataset(name).save(line + b"\n" for line in [b"<a>", "grüße".encode()])
    assert list(dataset(name).load().lines()) == [b"<a>\n", "grüße\n".encode()]


def partitions(name, blobs):
    dataset(name).save({"2026/03/a": b"old"})
    dataset(name).save({"2026/03/b": b"1", "c": b"2"})  # in the place of those there
    assert {key: load() for key, load in dataset(name).load().items()} == {
        "2026/03/b": b"1",
        "c": b"2",
    }


def checkpoint(name, blobs):
    handle = dataset(name).load()
    assert handle.restore("f") == CheckpointState()
    handle.store("f", CheckpointState({"a": np.eye(2)}, {"epoch": 3}))
    restored = dataset(name).load().restore("f")
    assert restored.facts == {"epoch": 3}
    assert (restored.arrays["a"] == np.eye(2)).all()
    assert handle.restore("another") == CheckpointState()
    handle.clear()
    assert not blobs.exists(path_of(name))
    handle.clear()


def study(name, blobs):
    import optuna

    from quartet.datasets.study import open_storage

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    store = dataset(name).load()
    with pytest.raises(KeyError), store.open() as path:
        begun = optuna.create_study(storage=open_storage(path), study_name="s")
        begun.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
        store.upload()
        raise KeyError  # as if a rank had died: what was kept is there
    with dataset(name).load().open() as path:
        again = optuna.load_study(storage=open_storage(path), study_name="s")
        assert len(again.trials) == 2


def segments(name, blobs):
    store = dataset(name).load()
    assert store.names("w") == set()
    for segment in ("1.mp4", "2.mp4"):
        store.write("w", segment, segment.encode())
        assert segment in dataset(name).load().names("w")  # listings are never old
    sources = store.sources("w", ["2.mp4", "1.mp4"])
    assert [(source.name, source.read()) for source in sources] == [
        ("2.mp4", b"2.mp4"),
        ("1.mp4", b"1.mp4"),
    ]
    store.write("wide", "3", b"")
    store.clear("w")
    assert store.names("w") == set()
    assert store.names("wide") == {"3"}  # whose name only begins alike
    store.clear("w")


def published(name, blobs):
    folder = dataset(name).load()
    with folder.create("deep/a.mp4") as path:
        path.write_bytes(b"old")
    with pytest.raises(KeyError), folder.create("deep/a.mp4") as path:
        path.write_bytes(b"half")
        raise KeyError
    with folder.fetch("deep/a.mp4") as path:
        assert path.read_bytes() == b"old"
    assert blobs.find(path_of(name)) == [f"{path_of(name)}/deep/a.mp4"]


def readings(name, blobs):
    def some(*times):
        return pa.table({"timestamp": np.array(times, np.int64) * 1_000_000, "value": times})

    store = dataset(name).load()
    assert store.batch_keys() == set()
    store.append("aa", some(1, 2))
    store.append("bb", some(3))
    store.append("aa", some(2))  # in the place of what was there, whose file has another name
    start, end = np.array([0]), np.array([10_000_000])
    groups = dataset(name).load().read(start, end, {"aa", "bb"})
    assert sorted(value for _, group in groups for value in group["value"].to_pylist()) == [2, 3]


def predictions(name, blobs):
    entry = catalog_on_blobs()[name]
    times = pd.to_datetime(["2026-03-02 08:30:00", "2026-03-02 09:30:00"])
    rows = pd.DataFrame({"device": "d", "sensor": "s", "window_end": times, "score": [1.0, 2.0]})
    assert set(entry["keys"]) < set(rows)
    dataset(name).save(rows)
    dataset(name).save(rows.assign(score=[5.0, 2.0]))
    loaded = dataset(name).load()
    assert len(loaded.partitions()) == 2
    assert list(loaded.read()["score"]) == [5.0, 2.0]


def sensor_source(name, blobs):
    with pytest.raises(DatasetError, match="no such folder"):
        dataset(name).load().files()
    folder = path_of(name)
    blobs.pipe_file(f"{folder}/plant/telemetry/0/2026/03/02/09/05/00.avro", b"12")
    blobs.pipe_file(f"{folder}/plant/telemetry/0/2026/03/02/09/00/00.avro", b"1")
    source = dataset(name).load()
    files = source.files()
    assert [file.size for file in files] == [1, 2]
    assert source.read(files[0].name) == b"1"
    version = files[0].version
    blobs.pipe_file(f"{folder}/{files[0].name}", b"2")
    assert source.files()[0].version != version  # a changed file has another version
    entry = catalog_on_blobs()[name]
    blobs.pipe_file("raw/table.csv", b"TS,Device,Sensor,Value\n2026-03-02,d,s,1\n")
    with_table = DataCatalog.from_config({name: {**entry, "table": "abfs://raw/table.csv"}})
    (part,) = with_table.load(name).parts()
    assert part.table["Value"].to_pylist() == ["1"]


def media(name, blobs):
    with pytest.raises(DatasetError, match="no such file"):
        dataset(name).load()
    blobs.put_file(str(ROOT / "data/01_raw/style/sample.mp4"), path_of(name))
    video = dataset(name).load()
    assert not video.is_folder
    with video.open() as file, av.open(file) as container:
        container.seek(0)
        assert next(container.decode(video=0)).width > 0
    blobs.rm(path_of(name))
    for number in "21":
        blobs.pipe_file(f"{path_of(name)}/{number}.png", encode_picture(PIXELS, ".png"))
    folder = dataset(name).load()
    assert folder.pictures == ("1.png", "2.png")
    assert (folder.read_picture("1.png") == PIXELS).all()


def picture(name, blobs):
    with pytest.raises(DatasetError, match="no such file"):
        dataset(name).load()
    blobs.pipe_file(path_of(name), encode_picture(PIXELS, ".png"))
    assert (dataset(name).load().pixels == PIXELS).all()


def pictures(name, blobs):
    with pytest.raises(DatasetError, match="no such folder"):
        dataset(name).load()
    blobs.pipe_file(f"{path_of(name)}/deep/a.png", encode_picture(PIXELS, ".png"))
    blobs.pipe_file(f"{path_of(name)}/notes.txt", b"")
    folder = dataset(name).load()
    assert list(folder) == ["deep/a.png"]
    assert (folder["deep/a.png"] == PIXELS).all()


def live_picture(name, blobs):
    dataset(name).load().show(b"first")
    dataset(name).load().show(b"second")
    assert blobs.cat_file(path_of(name)) == b"second"


def weights(name, blobs):
    with pytest.raises(DatasetError, match=r"no such file|unknown style"):
        dataset(name).load()
    prefix = catalog_on_blobs()[name].get("prefix", "")
    saved = Weights("any", {f"{prefix}a": np.eye(2, dtype=np.float32)}, {"style": "wave"})
    if path_of(name).endswith(".safetensors"):
        dataset(name).save(saved)
    else:
        import torch

        with blobs.open(path_of(name), "wb") as file:
            torch.save({key: torch.from_numpy(array) for key, array in saved.arrays.items()}, file)
    assert (dataset(name).load().arrays[f"{prefix}a"] == np.eye(2)).all()


WAYS = {
    "json.JSONDataset": facts,
    "matplotlib.MatplotlibDataset": figure,
    "pandas.CSVDataset": table,
    "pandas.ParquetDataset": table,
    "plotly.JSONDataset": interactive_figure,
    "partitions.PartitionedDataset": partitions,
    "yaml.YAMLDataset": facts,
    "CheckpointDataset": checkpoint,
    "BytesDataset": content,
    "DumpFileDataset": dump,
    "EncoderFolderDataset": encoder,
    "EventLabelsDataset": labels,
    "IDXDataset": idx,
    "ImageBytesDataset": content,
    "LabelledImagesDataset": labelled_images,
    "LivePictureDataset": live_picture,
    "MediaDataset": media,
    "PartitionedPredictionsDataset": predictions,
    "PictureDataset": picture,
    "PictureFolderDataset": pictures,
    "SegmentStoreDataset": segments,
    "PublishedFolderDataset": published,
    "QuestionsDataset": questions,
    "QuestionTableDataset": question_table,
    "ReadingStoreDataset": readings,
    "ReportDataset": table,
    "SafetensorsDataset": arrays,
    "SensorSourceDataset": sensor_source,
    "StudyDataset": study,
    "TextReportDataset": text,
    "TSVDataset": text_table,
    "WeightsDataset": weights,
}
