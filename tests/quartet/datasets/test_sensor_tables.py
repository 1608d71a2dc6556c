"""The tables return each window once, as it was last computed."""

import pickle

import numpy as np
import pandas as pd
import pytest
from kedro.io import DatasetError
from sqlalchemy import text

from quartet.datasets.sensor_store.tables import Cursor, SensorTablesDataset
from quartet.sensors.batch import Fault
from window_batches import (
    KEYS,
    STATISTICS,
    batch,
    end,
    everything,
    faults,
    fleet,
    ledger,
    rows,
    tables,
    windows,
)

pytest_plugins = ("mariadb",)


@pytest.fixture
def store(database_url):
    store = tables(database_url)
    yield store
    store.close()


def test_windows_are_restored_exactly_and_in_order(store):
    written = windows(fleet(12, 3, range(5, 40, 5)))
    written.loc[0, STATISTICS] = [0.1 + 0.2, 5e-324, -1.7976931348623157e308, 1 / 3, -0.0]
    assert store.publish(batch(written.sample(frac=1, random_state=0))) == 1
    read = store.read_windows()
    assert (read.pop("revision") == 1).all()
    expected = written.sort_values(KEYS, ignore_index=True)
    pd.testing.assert_frame_equal(read, expected, check_exact=True)
    assert read["window_end"].dtype == "datetime64[s]"


def test_names_are_compared_as_in_python(store):
    names = ["pump", "Pump", "pump ", "Pumpe", "pümpe", "pumpe", "😀", "ﬁ", "fi", "a:b", "a", "%_"]
    written = windows([(device, sensor, 5) for device in names for sensor in names])
    store.publish(batch(written))
    store.publish(batch(written))
    read = store.read_windows()
    pd.testing.assert_frame_equal(
        read.drop(columns="revision"), written.sort_values(KEYS, ignore_index=True)
    )
    one = store.read_windows(pairs=[("pump ", "Pump"), ("PUMP", "pump")])
    assert one[["device", "sensor"]].to_numpy().tolist() == [["pump ", "Pump"]]


def test_the_last_batch_of_each_window_wins(store):
    random = np.random.default_rng(7)
    every = fleet(4, 3, [*range(5, 100, 5), 60 * 24 * 400])
    expected = {}
    for revision in range(1, 25):
        size = random.integers(0, len(every) + 1)
        chosen = [every[i] for i in random.choice(len(every), size, replace=False)]
        table = windows(chosen, seed=revision)
        assert store.publish(batch(table)) == revision
        expected |= rows(table.assign(revision=revision))
        assert rows(store.read_windows()) == expected


def test_more_sensors_than_a_statement_can_name(store):
    every = windows(fleet(50, 40, [5, 10]))
    store.publish(batch(every))
    late = windows(fleet(50, 40, [10])[:-1], seed=1)
    store.publish(batch(late))
    expected = rows(every.assign(revision=1)) | rows(late.assign(revision=2))
    assert rows(store.read_windows()) == expected
    some = sorted({key[:2] for key in expected})[3:1990]
    assert rows(store.read_windows(pairs=some)) == {
        key: row for key, row in expected.items() if key[:2] in set(some)
    }


def test_windows_are_read_between_two_times(store):
    store.publish(batch(windows(fleet(2, 1, [5, 10, 15, 20]))))
    read = store.read_windows(since=end(5), until=end(15), pairs=[("d1", "s0"), ("d9", "s0")])
    assert read["window_end"].tolist() == [end(10), end(15)]
    assert set(read["device"]) == {"d1"}
    zoned = store.read_windows(since=end(15).tz_localize("UTC").tz_convert("Asia/Kolkata"))
    assert set(zoned["window_end"]) == {end(20)}
    assert len(store.read_windows(pairs=[])) == 0


def test_empty_windows_are_removed_with_their_anomalies(store):
    keys = fleet(2, 2, [5, 10, 15])
    store.publish(batch(windows(keys)))
    scored = windows(keys)[KEYS]
    every = scored.assign(score=-1.0, threshold=0.0, model_version="1", revision=1)
    store.write_anomalies(scored, every)
    gone, again = fleet(1, 2, [5, 15]), fleet(2, 1, [10])
    store.publish(batch(windows(again, seed=1), empty_windows=windows(gone)[KEYS]))
    left = set(keys) - set(gone)
    read = store.read_windows()
    assert rows(read).keys() == rows(windows(left)).keys()
    assert set(read.loc[read["revision"] == 2, "device"]) == {"d0", "d1"}
    assert rows(store.anomalies()).keys() == rows(read).keys()
    with pytest.raises(ValueError, match=r"\('d9', 's0'\) has no windows"):
        store.publish(batch(windows([]), empty_windows=windows([("d9", "s0", 5)])[KEYS]))


@pytest.mark.parametrize("most", [1, 7, 30, 10_000])
def test_blocks_have_all_windows_once_and_a_limited_size(store, most):
    keys = fleet(3, 4, range(5, 100, 5))[:-5]
    store.publish(batch(windows(keys)))
    blocks = list(store.window_blocks(end(10), end(85), most))
    assert max(map(len, blocks)) < most + 12  # twelve end at a moment
    assert len(blocks) >= 15 * 12 / (most + 12)
    read = pd.concat(blocks).sort_values(KEYS, ignore_index=True)
    pd.testing.assert_frame_equal(read, store.read_windows(since=end(10), until=end(85)))
    assert list(store.window_blocks(end(200), end(300), most)) == []


def test_windows_and_readings_are_counted_by_window_end(store):
    assert store.totals() == (0, 0)
    assert store.window_counts().empty
    keys = fleet(3, 4, [5, 10, 15])[:-2]
    written = windows(keys).assign(readings=2**31 - 5)  # a moment's do not fit into 32 bits
    store.publish(batch(written))
    store.publish(batch(windows(keys[:7]).assign(readings=1)))
    assert store.totals() == (34, 12)
    expected = store.read_windows().groupby("window_end")["readings"].agg(["size", "sum"])
    counts = store.window_counts(since=end(5), until=end(20)).set_index("window_end")
    assert counts["windows"].tolist() == expected["size"].tolist()[1:] == [12, 10]
    assert counts["readings"].tolist() == expected["sum"].tolist()[1:]
    assert store.window_counts()["readings"].tolist() == expected["sum"].tolist()


def test_the_ledger_and_the_faults_of_a_file_are_replaced_and_others_stay(store):
    first = batch(windows([]), ledger("a.avro", "b.avro"), faults(**{"a.avro": [3, 3, 1]}))
    store.publish(first)
    second = batch(windows([]), ledger("b.avro", "c.avro", version="2"), faults(**{"b.avro": [9]}))
    store.publish(second)
    files = store.files()
    assert files[["name", "version", "revision"]].to_numpy().tolist() == [
        ["a.avro", "1", 1],
        ["b.avro", "2", 2],
        ["c.avro", "2", 2],
    ]
    assert files["ingested_at"].notna().all()
    kept = store.quarantine()
    assert list(zip(kept["file"], kept["position"], strict=True)) == [
        ("a.avro", 3),
        ("a.avro", 3),
        ("a.avro", 1),
        ("b.avro", 9),
    ]
    assert len(store.quarantine(limit=2)) == 2
    store.publish(batch(windows([]), ledger("a.avro")))
    assert store.quarantine()["file"].tolist() == ["b.avro"]


def test_bodies_with_invalid_unicode_are_stored_escaped(store):
    bodies = [
        "\ud800 alone",
        "nul \0 inside",
        "😀" * 150,
        "x" * 1000,
        None,
        "'; DROP TABLE sensors",
    ]
    many = [Fault("a.avro", 1, "r" * 900, body) for body in bodies]
    many[4] = many[4]._replace(position=None)
    store.publish(batch(windows([]), ledger("a.avro"), many))
    read = store.quarantine()
    assert read["body"].tolist() == [
        "\\ud800 alone",
        "nul \0 inside",
        "😀" * 100,
        "x" * 200,
        None,
        "'; DROP TABLE sensors",
    ]
    assert read["position"].isna().tolist() == [False] * 4 + [True, False]
    assert set(read["reason"]) == {"r" * 500}


def test_the_watermark_never_goes_back(store):
    assert store.cursor("ingestion") is None
    for minutes, expected in [(None, None), (10, 10), (5, 10), (None, 10), (15, 15)]:
        watermark = None if minutes is None else end(minutes)
        revision = store.publish(batch(windows([]), watermark=watermark))
        found = None if expected is None else end(expected)
        assert store.cursor("ingestion") == Cursor(revision, found)
    assert store.cursor("scoring") is None


def test_windows_of_another_length_are_rejected(store):
    assert store.window_seconds() is None
    store.check_window_seconds(300)
    store.publish(batch(windows(fleet(1, 1, [5])), window_seconds=300))
    before = everything(store)
    for attempt in (
        lambda: store.check_window_seconds(60),
        lambda: store.publish(batch(windows(fleet(1, 1, [6])), window_seconds=60)),
    ):
        with pytest.raises(
            ValueError, match="contains 300 s windows, to which 60 s windows cannot"
        ):
            attempt()
    assert everything(store) == before
    assert before["window_seconds"] == 300


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        (windows([("d", "s", 5)] * 2), "same device, sensor and end"),
        (windows([("d", "s", 5)]).assign(mean=np.inf), "'d', sensor 's', .* not finite"),
        (windows([("d", "s", 5)]).assign(last_value=np.nan), "not finite"),
        (windows([("d" * 129, "s", 5)]), "longer than 128 characters"),
        (windows([("d", "", 5)]), "must be a non-empty text"),
        (windows([("d", 7, 5)]), "must be a non-empty text"),
        (windows([("d", "\udc80", 5)]), "is not valid Unicode"),
    ],
)
def test_an_invalid_batch_is_rejected_completely(tmp_path, table, complaint):
    store = tables(f"sqlite:///{tmp_path}/sensors.db")
    with pytest.raises(ValueError, match=complaint):
        store.publish(batch(table, ledger("a.avro")))
    assert store.cursor("ingestion") is None
    assert len(store.files()) == 0


def test_quarantined_readings_of_other_files_are_rejected(tmp_path):
    store = tables(f"sqlite:///{tmp_path}/sensors.db")
    with pytest.raises(ValueError, match=r"quarantines readings of b\.avro"):
        store.publish(batch(windows([]), ledger("a.avro"), faults(**{"b.avro": [1]})))


def test_scoring_reads_each_new_or_changed_closed_window(store):
    every = fleet(3, 2, range(5, 65, 5))
    random = np.random.default_rng(3)
    for seed in range(6):
        chosen = [every[i] for i in random.choice(len(every), 30, replace=False)]
        store.publish(batch(windows(chosen, seed)))
    held = rows(store.read_windows())
    moments = [None, end(0), end(20), end(40), end(90)]
    afters = [
        None,
        *[Cursor(revision, watermark) for revision in (0, 3, 6) for watermark in moments[::2]],
    ]
    for after in afters:
        for watermark in moments[:4]:
            new = store.new_windows(after, Cursor(6, watermark))
            assert list(new) == [*KEYS, "readings", *STATISTICS, "revision"]
            assert rows(new) == {
                key: row
                for key, row in held.items()
                if _to_score(key[2], row[-1], after, watermark)
            }
            assert new[KEYS].equals(new[KEYS].sort_values(KEYS, ignore_index=True))


def _to_score(window_end, revision, after, watermark):
    if watermark is None or window_end > watermark:
        return False
    if after is None or after.watermark is None:
        return True
    return window_end > after.watermark or revision > after.revision


def scored(keys):
    return windows(keys)[KEYS]


def anomalous(keys, score):
    facts = {"score": score, "threshold": 0.25, "model_version": "c0ffee", "revision": 1}
    return scored(keys).assign(**facts)


def test_anomalies_are_replaced_for_rescored_windows_only(store):
    every = fleet(3, 3, [5, 10, 15])
    store.publish(batch(windows(every)))
    store.write_anomalies(scored(every), anomalous(every[::2], -1.0))
    again = fleet(3, 3, [10])
    store.write_anomalies(scored(again), anomalous(again[:2], -2.0))
    expected = rows(anomalous([key for key in every[::2] if key not in again], -1.0))
    expected |= rows(anomalous(again[:2], -2.0))
    read = store.anomalies()
    assert rows(read) == expected
    assert read[KEYS].equals(read[KEYS].sort_values(KEYS, ignore_index=True))
    assert set(store.anomalies(since=end(5), until=end(10))["window_end"]) == {end(10)}
    store.write_anomalies(scored(every), anomalous([], 0.0))
    assert len(store.anomalies()) == 0


def test_anomalies_outside_the_scored_windows_are_rejected(store):
    known = fleet(1, 2, [5])
    store.publish(batch(windows(known)))
    store.write_anomalies(scored(known), anomalous(known, -1.0))
    with pytest.raises(ValueError, match="not among the scored"):
        store.write_anomalies(scored(known[:1]), anomalous(known[1:], -1.0))
    with pytest.raises(ValueError, match="not among the scored"):
        store.write_anomalies(scored([]), anomalous(known, -1.0))
    with pytest.raises(ValueError, match=r"\('d', 'nowhere'\) has no windows"):
        store.write_anomalies(scored([("d", "nowhere", 5)]), anomalous([], 0.0))
    assert len(store.anomalies()) == 2


def test_the_dataset_publishes_saved_batches_and_loads_the_tables(database_url):
    dataset = SensorTablesDataset(url=database_url)
    dataset.save(batch(windows(fleet(2, 2, [5]))))
    handle = dataset.load()
    assert len(handle.read_windows()) == 4
    copy = pickle.loads(pickle.dumps(dataset))  # as for a runner of several processes
    assert everything(copy.load()) == everything(handle)
    assert dataset.exists()


def test_a_relative_sqlite_file_lies_below_the_project(tmp_path, monkeypatch):
    (tmp_path / "pyproject.toml").write_text("[tool.kedro]\nproject_name = 'p'\n")
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    SensorTablesDataset(url="sqlite:///data/new/sensors.db").load()
    assert (tmp_path / "data/new/sensors.db").exists()


def test_tables_of_other_programs_are_not_changed(database_url):
    engine = tables(database_url)._database.engine
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE sensors (vendor VARCHAR(20))"))
        connection.execute(text("INSERT INTO sensors VALUES ('ours')"))
    with pytest.raises(DatasetError, match=r"table sensors lacks the columns .* older version"):
        SensorTablesDataset(url=database_url).load()
    with engine.connect() as connection:
        assert connection.execute(text("SELECT * FROM sensors")).all() == [("ours",)]


@pytest.mark.parametrize(
    "url",
    ["postgresql://user:secret@host/db", "data/sensors.db", "sqlite://", "sqlite:///:memory:"],
)
def test_an_invalid_url_is_rejected_without_its_password(url):
    with pytest.raises(DatasetError, match="sqlite:///FILE") as error:
        SensorTablesDataset(url=url)
    assert "secret" not in str(error.value)


def device_alarms(keys, score):
    """Alarms of devices, one for each key."""
    table = anomalous(keys, score).drop(columns="model_version")
    return table.assign(event_start=table["window_end"], sensors="s1, s2" + "x" * 900)


def test_alarms_of_devices_are_replaced_for_rescored_windows_only(store):
    every = fleet(2, 2, [5, 10])
    store.publish(batch(windows(every)))
    first = device_alarms(every[::2], 7.0)
    store.write_anomalies(scored(every), anomalous([], 0.0), device_alarms=first)
    store.write_anomalies(scored(every), anomalous([], 0.0))  # leaves them as they are
    read = store.device_alarms()
    assert rows(read[[*KEYS, "score"]]) == rows(first[[*KEYS, "score"]])
    assert read["event_start"].equals(read["window_end"])
    assert set(read["sensors"].str.len()) == {700}
    again = scored(every[:1])
    store.write_anomalies(again, anomalous([], 0.0), device_alarms=first[:0])
    assert len(store.device_alarms()) == len(first) - 1
    late = store.device_alarms(since=end(5))
    assert set(late["window_end"]) <= {end(10)}
    store.publish(batch(windows([]), empty_windows=windows(every)[KEYS]))
    assert store.device_alarms().empty
