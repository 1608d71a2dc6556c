"""Uploads of any name are read and removed, and hostile texts are displayed as text."""

from io import BytesIO
from itertools import repeat
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image

pytest.importorskip("streamlit")

from streamlit.testing.v1 import AppTest

from quartet.datasets.registered_model import Champion
from quartet.sensors import windows
from quartet.sensors.context import Context
from quartet.sensors.scoring import predict
from quartet.sensors.serving import SensorScorer
from quartet.sensors.settings import SensorSvm
from quartet.sensors.training import fit_model_set
from quartet.try_page import sensors, style
from quartet.try_page.project import escape, store_upload
from quartet.try_page.questions import _to_text
from try_page.test_project import render

HOSTILE = "![x](http://example.org/x)"


class Upload:
    def __init__(self, name):
        self.name = name

    def getbuffer(self):
        return memoryview(b"content")


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a\0b.csv", "\udcff.csv", "${oc.env:HOME}.csv", "ü" * 300 + ".csv"]
)
def test_an_upload_of_any_name_is_stored_in_its_folder_and_removed(name):
    with store_upload(Upload(name)) as path:
        folder = path.parent
        assert path.read_bytes() == b"content"
        assert [each.name for each in folder.iterdir()] == [path.name]
        assert "${" not in path.name
        assert path.suffix == (".csv" if name.endswith(".csv") else "")
    assert not folder.exists()


def test_usual_names_are_kept():
    for name in ("pump #1 (copy).csv.gz", "Größe.parquet", "<script>.csv"):
        with store_upload(Upload(name)) as path:
            assert path.name == name


def test_code_of_several_paragraphs_loads_nothing_from_the_network():
    text, _ = render(escape(f"`\n\n{HOSTILE}\n\n`"))
    assert text.strip() == HOSTILE
    assert "\n" not in escape("a\r\n\n    b")


def test_lines_of_an_answer_are_not_joined():
    assert _to_text("<p>one<br>two</p><ul><li>three</li><li>four</ul>").split() == [
        "one",
        "two",
        "three",
        "four",
    ]
    assert _to_text("<p>one</p>\n<p>two</p>") == "one\ntwo"


SETTINGS = SensorSvm(seed=1, workers=1, nu=0.02, gamma=0.1)


@pytest.fixture(scope="module")
def readings():
    """A steady device, and one that is normalised, each with twelve readings a window."""
    times = np.arange(12 * 400) * 25_000_000 + 25_000_000
    count = len(times)
    values = np.random.default_rng(0).normal(size=2 * count)
    return pa.table(
        {
            "device": pa.array(["steady"] * count + ["changing"] * count).dictionary_encode(),
            "sensor": pa.array(["speed"] * 2 * count).dictionary_encode(),
            "timestamp": np.tile(times, 2),
            "value": values + np.repeat([0.0, 50.0], count),
            "sequence": np.arange(2 * count),
        }
    )


def test_steady_devices_are_scored_as_the_pipeline_scores_them(readings):
    found = windows.aggregate(readings, 300)
    is_changing = found["device"] == "changing"
    context = Context(2.0, 24.0)
    normal = pd.concat([found[~is_changing], context.apply(found[is_changing])], ignore_index=True)
    normal = normal.assign(relative=normal["device"] == "changing")
    model_set = fit_model_set(normal, SETTINGS, 300, progress=False).model_set
    champion = Champion(1, {}, SensorScorer(model_set))
    scored, unmatched = sensors._score_readings("a.csv", readings, champion)
    assert unmatched.empty
    steady = scored[scored["device"] == "steady"].reset_index(drop=True)
    expected = predict(model_set, found[~is_changing])
    np.testing.assert_array_equal(steady["score"], expected["score"])
    assert set(scored["device"]) == {"changing", "steady"}


def test_a_small_file_of_many_rows_does_not_fill_the_memory():
    part = SimpleNamespace(rows=range(sensors._MAX_READINGS // 2))
    assert len(list(sensors._limit_rows("a.csv", [part, part]))) == 2
    endless = repeat(part)
    with pytest.raises(ValueError, match=r"a\.csv: has more than 10,000,000 rows; run `kedro run"):
        list(sensors._limit_rows("a.csv", endless))


def show_hostile_sensors():
    import pandas as pd

    from quartet.try_page import sensors

    class Models:
        pairs = (("`", "![x](http://example.org/x)"),)
        window_seconds = 300

        def __len__(self):
            return 1

    class Model:
        raw_model = Models()

    sensors._describe_models(Model())
    rows = {"device": ["a/b", "a"], "sensor": ["c", "b/c"], "score": [1.0, 2.0]}
    windows = pd.DataFrame({**rows, "window_end": pd.Timestamp(0), "anomaly": False})
    statistics = dict.fromkeys(("mean", "minimum", "maximum", "threshold"), 0.0)
    scored = sensors._Scored(windows.assign(**statistics), windows[:0], 2, {})
    sensors._show_scores(scored)


def test_names_of_sensors_are_displayed_as_text_and_kept_apart():
    page = AppTest.from_function(show_hostile_sensors, default_timeout=120).run()
    assert not page.exception
    assert HOSTILE not in page.info[0].value
    assert len(page.selectbox[0].options) == 2
    charts = page.get("vega_lite_chart") or page.get("arrow_vega_lite_chart")
    assert len(charts) == 2
    assert len(page.dataframe[0].value) == 2


@pytest.mark.integration
def test_a_picture_may_have_the_name_of_a_folder_of_the_pipeline(monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[3])
    monkeypatch.setattr("sys.argv", ["page.py"])
    file = BytesIO()
    Image.new("RGB", (16, 12)).save(file, "PNG")
    upload = Upload("work")
    upload.getbuffer = file.getbuffer
    result = style._stylize(upload, style._list_styles()[0])
    assert Image.open(BytesIO(result.content)).size == (16, 12)
