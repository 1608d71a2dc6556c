"""A database that is down, slow or drops the connection neither loses nor duplicates data.

All against a real MariaDB over ODBC; a proxy before it cuts connections at chosen statements.
"""

import signal
from types import SimpleNamespace
from urllib.parse import quote_plus

import pytest
from kedro.io import DatasetError
from sqlalchemy import event

from quartet.datasets.sensor_store import database
from quartet.datasets.sensor_store.tables import Cursor
from window_batches import KEYS, batch, end, everything, faults, fleet, ledger, tables, windows

pytest_plugins = ("mariadb",)

FIRST = batch(windows(fleet(3, 3, [5, 10])), ledger("a"), faults(a=[1, 2]), end(5))
SECOND = batch(windows(fleet(4, 3, [10, 15]), 1), ledger("a", "b"), faults(a=[3], b=[1]), end(10))
SCORED = windows(fleet(3, 3, [5]))[KEYS]
FOUND = SCORED[::2].assign(score=-1.0, threshold=0.0, model_version="c0ffee", revision=1)
STATEMENTS = [
    "UPDATE sensor_jobs",
    "FROM sensor_batches",
    "INSERT INTO sensors",
    "FROM sensor_windows",
    "DELETE FROM sensor_windows",
    "INSERT INTO sensor_windows",
    "INSERT INTO sensor_files",
    "INSERT INTO sensor_quarantine",
    "INSERT INTO sensor_batches",
    "COMMIT",
]


@pytest.fixture
def proxy(mariadb_proxy):
    return mariadb_proxy


@pytest.fixture
def name(mariadb):
    return mariadb.new_database()


@pytest.fixture
def store(mariadb, proxy, name):
    """The tables behind the proxy, with a first batch in them."""
    store = tables(mariadb.url(name, proxy.port))
    store.publish(FIRST)
    yield store
    store.close()


@pytest.fixture
def direct(mariadb, name):
    """The same tables without the proxy."""
    store = tables(mariadb.url(name))
    yield store
    store.close()


@pytest.fixture(scope="session")
def expected(tmp_path_factory):
    """Contents of the tables after one and after two batches."""
    store = tables(f"sqlite:///{tmp_path_factory.mktemp('expected')}/sensors.db")
    states = []
    for each in (FIRST, SECOND):
        store.publish(each)
        states.append(everything(store))
    return states


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        *[(statement, "cut before") for statement in STATEMENTS],
        *[(statement, "cut after") for statement in STATEMENTS[::-3]],
    ],
)
def test_a_connection_that_drops_anywhere_in_a_batch_changes_nothing(
    store, direct, proxy, expected, statement, fault
):
    proxy.fail(statement, fault)
    assert store.publish(SECOND) == 2
    assert proxy.happened == 1
    assert everything(direct) == expected[1]


@pytest.mark.parametrize(
    ("statement", "fault"),
    [("INSERT INTO sensor_files", "cut before"), ("COMMIT", "cut before"), ("COMMIT", "cut after")],
)
def test_an_unreachable_database_leaves_a_complete_batch_or_none(
    store, direct, proxy, expected, statement, fault
):
    proxy.fail(statement, fault, times=99)
    with pytest.raises(DatasetError, match="tried 7 times") as error:
        store.publish(SECOND)
    assert store.name in str(error.value)
    committed = (statement, fault) == ("COMMIT", "cut after")
    # Recognised by its token, a batch that was committed is not written again and again.
    assert proxy.happened == 7
    assert everything(direct) == expected[1 if committed else 0]
    proxy.fail("nothing", "cut before")
    store.publish(SECOND)
    assert everything(direct)["windows"].keys() == expected[1]["windows"].keys()
    assert everything(direct)["faults"] == expected[1]["faults"]


def test_a_lost_response_to_a_commit_does_not_repeat_other_steps(store, direct, proxy):
    proxy.fail("COMMIT", "cut after")
    token = store.claim("scoring", minutes=60)
    assert proxy.happened == 1
    proxy.fail("COMMIT", "cut after")
    store.write_anomalies(SCORED, FOUND, claim=token)
    assert proxy.happened == 1
    proxy.fail("COMMIT", "cut after")
    store.move_cursor(token, None, Cursor(1, end(5)))
    assert proxy.happened == 1
    assert len(direct.anomalies()) == len(FOUND)
    assert direct.cursor("scoring") == Cursor(1, end(5))
    proxy.fail("COMMIT", "cut after")
    store.release("scoring", token)
    assert proxy.happened == 1
    direct.claim("scoring", minutes=60)


def test_a_batch_is_complete_after_a_crash_of_the_server(mariadb, store, direct, expected):
    crashes = []

    @event.listens_for(store._database.engine, "before_cursor_execute")
    def crash(connection, cursor, text, *_):
        if text.startswith("INSERT INTO sensor_files") and not crashes:
            crashes.append(text)
            mariadb.stop(signal.SIGKILL)
            mariadb.start()

    assert store.publish(SECOND) == 2
    assert crashes
    assert everything(direct) == expected[1]


def test_a_database_that_is_down_at_the_start_is_named_without_its_password(mariadb, proxy, name):
    url = mariadb.url(name, proxy.port, user="mrs-smith:hush")
    proxy.close()
    with pytest.raises(DatasetError, match=r"cannot be reached .* tried 3 times") as error:
        tables(url, attempts=3).make()
    message = str(error.value)
    assert f"MariaDB database {name} at 127.0.0.1:{proxy.port}" in message
    assert "Check that the server runs" in message
    assert "hush" not in message
    assert "smith" not in message


def test_a_database_that_comes_up_within_the_waiting_time_is_used(
    store, direct, proxy, expected, monkeypatch
):
    proxy.close()
    store.close()
    waits = []

    def sleep(seconds):
        waits.append(seconds)
        if len(waits) == 4:
            proxy.listen()

    monkeypatch.setattr(database, "time", SimpleNamespace(sleep=sleep))
    assert store.publish(SECOND) == 2
    assert waits == [0.01, 0.02, 0.04, 0.08]
    assert everything(direct) == expected[1]


@pytest.mark.parametrize("fault", ["silence", "vanish"])
def test_a_silent_connection_is_closed_and_reopened(
    mariadb, store, direct, proxy, name, expected, fault
):
    # Where the network vanishes, the server cannot know it: the transaction, with its locks, must
    # not wait there for hours.
    # A busy machine may take a second for other statements, too: one of many attempts gets through.
    hurried = tables(mariadb.url(name, proxy.port), timeout_seconds=1, attempts=15)
    proxy.fail("INSERT INTO sensor_files", fault)
    assert hurried.publish(SECOND) == 2
    assert everything(direct) == expected[1]


@pytest.mark.parametrize("fault", ["cut before", "cut after"])
def test_a_connection_that_drops_while_windows_are_read_gives_them_all_once(
    store, direct, proxy, expected, fault
):
    direct.publish(SECOND)
    proxy.fail("FROM sensor_windows", fault)
    assert everything(store) == expected[1]
    assert proxy.happened == 1


@pytest.mark.parametrize("scheme", ["mysql", "mariadb"])
def test_a_connection_string_is_accepted_and_its_password_hidden(mariadb, name, scheme):
    text = f"DRIVER=MariaDB Unicode;SERVER=127.0.0.1;PORT={mariadb.port};DATABASE={name}"
    url = f"{scheme}+pyodbc:///?odbc_connect={quote_plus(text)}"
    store = tables(url, credentials={"username": "root"})
    assert store.publish(FIRST) == 1
    assert store.name == f"MariaDB database {name} at 127.0.0.1:{mariadb.port}"
    refused = tables(url, credentials={"username": "mrs-smith", "password": "hu;sh"})
    with pytest.raises(DatasetError, match=f"{store.name}: .* rejects this user") as error:
        refused.make()
    assert "hu;sh" not in str(error.value)


def test_an_unknown_database_is_reported_without_retries(mariadb):
    with pytest.raises(DatasetError, match="Create the database"):
        tables(mariadb.url("elsewhere")).make()


def test_a_full_disk_of_the_server_keeps_the_tables_unchanged(mariadb, name):
    mariadb.execute("SET GLOBAL innodb_file_per_table = OFF")  # into the one file that is limited
    store = tables(mariadb.url(name))
    store.make()
    mariadb.execute("SET GLOBAL innodb_file_per_table = ON")
    store.publish(FIRST)
    before = everything(store)
    large = batch(windows(fleet(100, 10, range(20, 200, 5))), ledger("b"))
    with pytest.raises(DatasetError, match="No space is left") as error:
        store.publish(large)
    assert store.name in str(error.value)
    assert everything(store) == before
    store.close()
    mariadb.execute(f"DROP DATABASE {name}")
