"""A locked, full or damaged SQLite file is reported, and killed runs leave it consistent."""

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from kedro.io import DatasetError
from sqlalchemy import event
from sqlalchemy.engine import make_url

from concurrent_runs import publish_until_killed
from quartet.datasets.database_engines import _create_sqlite_engine
from quartet.datasets.sensor_store.tables import SensorTablesDataset
from support import GUARD_S
from window_batches import batch, end, everything, faults, fleet, ledger, tables, windows

pytest_plugins = ("mariadb",)

FIRST = batch(windows(fleet(3, 3, [5, 10])), ledger("a"), faults(a=[1]), end(5))
SECOND = batch(windows(fleet(4, 3, [10, 15]), 1), ledger("a", "b"), faults(b=[1]), end(10))
LARGE = batch(windows(fleet(50, 20, range(20, 70, 5))), ledger("b"))


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "sensors.db"
    tables(f"sqlite:///{path}").publish(FIRST)
    return path


def test_processes_that_open_a_new_file_together_wait(tmp_path):
    """SQLite does not wait if two connections switch a file to WAL mode at the same time."""

    def connect(place, start):
        engine = _create_sqlite_engine(make_url(f"sqlite:///{place}"), GUARD_S)
        start.wait()
        with engine.connect() as connection:
            return connection.exec_driver_sql("PRAGMA journal_mode").scalar()

    with ThreadPoolExecutor(4) as pool:
        for number in range(100):  # of which before ten went wrong
            start = threading.Barrier(4)
            place = tmp_path / f"{number}.db"
            modes = pool.map(connect, [place] * 4, [start] * 4)
            assert list(modes) == ["wal"] * 4


def open_tables(path, **options):
    return tables(f"sqlite:///{path}", **options)


def test_a_locked_file_is_reported_with_a_hint(path):
    store = open_tables(path, timeout_seconds=0)
    before = everything(store)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatasetError, match="Another process has locked it") as error:
            store.publish(SECOND)
        assert str(path) in str(error.value)
        assert everything(store) == before, "who only reads need not wait"
    assert store.publish(SECOND) == 2


def test_readers_do_not_block_a_batch(path):
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN")
        assert other.execute("SELECT count(*) FROM sensor_windows").fetchone() == (18,)
        assert open_tables(path, timeout_seconds=0).publish(SECOND) == 2
        assert other.execute("SELECT count(*) FROM sensor_windows").fetchone() == (18,)


def test_a_full_disk_keeps_the_tables_unchanged(path):
    store = open_tables(path)
    before = everything(store)
    limited = []

    @event.listens_for(store._database.engine, "connect")
    def limit(connection, _):
        if limited:  # as if no page could be added to the file any more
            connection.execute(f"PRAGMA max_page_count = {limited[0]}")

    limited.append(1)
    with pytest.raises(DatasetError, match="No space is left; free some and rerun") as error:
        store.publish(LARGE)
    assert str(path) in str(error.value)
    assert everything(store) == before
    limited.clear()
    assert store.publish(LARGE) == 2


def test_a_file_that_is_not_a_database_is_rejected_and_unchanged(tmp_path):
    path = tmp_path / "sensors.db"
    path.write_bytes(b"notes " * 1000)
    with pytest.raises(DatasetError, match="damaged or not a database") as error:
        SensorTablesDataset(url=f"sqlite:///{path}").load()
    assert str(path) in str(error.value)
    assert path.read_bytes() == b"notes " * 1000


def test_an_invalid_path_is_reported(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(DatasetError, match=r"file/sensors\.db: cannot create its folder"):
        SensorTablesDataset(url=f"sqlite:///{tmp_path}/file/sensors.db").load()


def test_a_damaged_file_is_reported_by_every_query(path):
    open_tables(path).publish(LARGE)
    content = bytearray(path.read_bytes())
    page = 4096
    for start in range(20 * page, len(content), page):
        content[start : start + page] = b"\xa5" * page
    path.write_bytes(content)
    for query in (
        lambda store: store.read_windows(),
        lambda store: store.publish(LARGE),
    ):
        with pytest.raises(DatasetError, match=r"damaged or not .* ingest again") as error:
            query(open_tables(path))
        assert str(path) in str(error.value)


def test_the_next_run_publishes_the_batch_of_a_killed_run(database_url):
    store = tables(database_url)
    store.publish(FIRST)
    before = everything(store)
    publish_until_killed(database_url, SECOND, "INSERT INTO sensor_batches")
    assert everything(store) == before
    assert store.publish(SECOND) == 2
    store.close()


@pytest.mark.parametrize(
    ("column", "change"),
    [
        ("mean", "mean + 1e-12"),
        ("standard_deviation", "-standard_deviation - 1"),
        ("minimum", "minimum / 2 + 1"),
        ("maximum", "maximum * 1.0000001 + 1e-9"),
        ("last_value", "1"),
        ("readings", "readings + 1"),
        ("revision", "revision + 256"),
        ("sensor_id", "sensor_id + 1000"),
        ("window_end", "replace(window_end, '20', '21')"),
    ],
)
def test_a_damaged_value_is_reported_and_not_used(path, column, change):
    """A bit that flips in a value leaves the file valid for SQLite."""
    with closing(sqlite3.connect(path)) as connection:
        key = "window_end, sensor_id"
        row = f"({key}) = (SELECT {key} FROM sensor_windows ORDER BY {key} LIMIT 1 OFFSET 4)"
        changed = connection.execute(f"UPDATE sensor_windows SET {column} = {change} WHERE {row}")
        assert changed.rowcount == 1
        connection.commit()
    with pytest.raises(DatasetError, match="1 of 18 windows differ") as error:
        open_tables(path).read_windows()
    assert str(path) in str(error.value)
    assert "ingest all files again" in str(error.value)


@pytest.mark.parametrize(
    ("column", "value"), [("mean", "'12,5'"), ("checksum", "'x'"), ("window_end", "'soon'")]
)
def test_a_value_of_another_type_is_reported_with_its_table(path, column, value):
    """SQLite stores text in a column of numbers."""
    with closing(sqlite3.connect(path)) as connection:
        key = "window_end, sensor_id"
        row = f"({key}) = (SELECT {key} FROM sensor_windows ORDER BY {key} LIMIT 1 OFFSET 4)"
        connection.execute(f"UPDATE sensor_windows SET {column} = {value} WHERE {row}")
        connection.commit()
    with pytest.raises(DatasetError, match="sensor_windows has a value of another type") as error:
        open_tables(path).read_windows()
    assert str(path) in str(error.value)
