"""No SQL Server can run here: a parser of T-SQL must accept every statement that one would get.

The parser also accepts much that SQL Server rejects. Therefore a statement must come back unchanged
from the parser's own generator of T-SQL, and name only columns of the tables.
"""

import math
import re
from collections import defaultdict
from datetime import datetime
from types import SimpleNamespace

import pytest
import sqlglot
from sqlalchemy import event
from sqlalchemy.dialects import mssql
from sqlalchemy.schema import CreateIndex, CreateTable
from sqlglot import exp
from sqlglot.errors import OptimizeError, ParseError
from sqlglot.optimizer.qualify import qualify

from quartet.datasets.sensor_store import sensor_ids, writing
from quartet.datasets.sensor_store.rows import ROWS_PER_BLOCK, insert_rows
from quartet.datasets.sensor_store.schema import (
    BODY_LENGTH,
    FILE_NAME_LENGTH,
    NAME_LENGTH,
    REASON_LENGTH,
    VERSION_LENGTH,
    metadata,
)
from quartet.datasets.sensor_store.tables import Cursor
from quartet.sensors.batch import Fault, FileEntry
from support import ROOT
from window_batches import KEYS, batch, end, fleet, tables, windows

DIALECT = mssql.pyodbc.dialect(paramstyle="qmark")
SAME = {"!=": "<>", "DOUBLE PRECISION": "FLOAT"}
"""Two ways to write the same in T-SQL."""
MAX_PARAMETERS = 2100
CLEF = "\U0001d11e"
"""A character that SQL Server stores as two."""
INTEGERS = {"INT": 31, "BIGINT": 63}


def compile_statement(statement):
    options = {"render_postcompile": True}
    return statement.compile(dialect=DIALECT, compile_kwargs=options)


def words(sql):
    found = [token.text.upper() for token in sqlglot.tokenize(sql, read="tsql")]
    return [SAME.get(word, word) for word in found]


def parse(sql):
    """Parse a statement.

    Raises:
        ValueError: It is not T-SQL.
    """
    try:
        tree = sqlglot.parse_one(sql, read="tsql")
    except ParseError as error:
        raise ValueError(f"{sql}: {error}") from error
    if isinstance(tree, exp.Command):
        raise ValueError(f"{sql}: unknown statement")
    if any(tree.args.get(part) for part in ("alternative", "conflict", "properties")):
        raise ValueError(f"{sql}: has a clause of another database")
    if words(tree.sql("tsql")) != words(sql):
        raise ValueError(f"{sql}: expected {tree.sql('tsql')}")
    return tree


def check(sql, schema):
    """Check that a statement is T-SQL, and names only columns of the tables.

    Raises:
        ValueError: It is or does not.
    """
    tree = parse(sql)
    if isinstance(tree, exp.Select):
        try:
            qualify(tree.copy(), dialect="tsql", schema=plain(schema))
        except OptimizeError as error:
            raise ValueError(f"{sql}: {error}") from error
        return
    table = tree.find(exp.Table).name
    named = {column.name for column in tree.find_all(exp.Column)}
    if isinstance(tree, exp.Insert):
        named |= {column.name for column in tree.this.expressions}
    if unknown := named - set(schema[table]):
        raise ValueError(f"{sql}: {table} has no column {', '.join(sorted(unknown))}")


def plain(schema):
    """Type by table and column, as the parser's optimiser needs them."""
    return {
        table: {name: column.kind.sql("tsql") for name, column in columns.items()}
        for table, columns in schema.items()
    }


@pytest.fixture(scope="module")
def schema():
    """Columns by table, as the CREATE TABLE statements for SQL Server declare them."""
    found = defaultdict(dict)
    for table in metadata.sorted_tables:
        tree = parse(str(CreateTable(table).compile(dialect=DIALECT)))
        for column in tree.find_all(exp.ColumnDef):
            found[table.name][column.name] = column
    return dict(found)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Statements, and rows inserted in bulk, of all that a project does with the tables."""
    store = tables(f"sqlite:///{tmp_path_factory.mktemp('sql')}/sensors.db")
    statements, bulk = [], []

    @event.listens_for(store._database.engine, "before_execute")
    def note(connection, statement, *_):
        if not isinstance(statement, str):
            statements.append(statement)

    def insert(connection, table, columns):
        bulk.append((table, columns))
        insert_rows(connection, table, columns)

    with pytest.MonkeyPatch.context() as patch:
        for module in (writing, sensor_ids):
            patch.setattr(module, "insert_rows", insert)
        run(store)
    store.close()
    return SimpleNamespace(statements=statements, bulk=bulk)


def run(store):
    names = [(CLEF * (NAME_LENGTH // 2), "s" * NAME_LENGTH, 5), *fleet(70, 30, [5, 200])]
    file = FileEntry(
        CLEF * (FILE_NAME_LENGTH // 2),
        "v" * VERSION_LENGTH,
        quarantined=1,
        state="unreadable",
        reason=CLEF * REASON_LENGTH,
    )
    fault = Fault(file.name, 2**40, "x" * 2 * REASON_LENGTH, "\ud800" + CLEF * 2 * BODY_LENGTH)
    other = FileEntry("b", "1", 10, batch_key="k")
    empty = Fault("b", None, "", None)
    many = [FileEntry(f"f{index}", "1") for index in range(2000)]
    store.publish(batch(windows(names), [file, other, *many], [fault, empty], window_seconds=300))
    late = windows([("d1", "s1", 7), ("d2", "s2", 5)])
    gone = windows(fleet(1, 1, [200]))[KEYS]
    store.publish(batch(late, [other], watermark=end(300), empty_windows=gone))
    scored = windows(names)[KEYS]
    found = scored[:5].assign(score=-1.0, threshold=0.0, model_version="v" * 64, revision=1)
    with store.hold_claim("scoring", minutes=1) as token:
        store.confirm("scoring", token)
        store.new_windows(None, Cursor(2, end(5)))
        store.new_windows(Cursor(0, end(0)), Cursor(2, end(300)))
        store.read_windows(since=end(0), until=end(5), pairs=[("d1", "s1")])
        store.read_windows(pairs=[("nobody", "nothing")])
        list(store.window_blocks(end(0), end(300)))
        alarms = found.assign(event_start=found["window_end"], sensors="ß" * 900)
        store.write_anomalies(scored, found, claim=token, device_alarms=alarms)
        store.device_alarms(since=end(0))
        store.move_cursor(token, None, Cursor(2, end(300)))
    store.claim("ingestion", minutes=1, take_over=True)
    store.anomalies(since=end(0))
    store.quarantine()
    store.quarantine(limit=3)
    store.files()
    store.totals()
    store.cursor("scoring")


def test_tables_and_indexes_are_created_in_tsql(schema):
    assert set(schema) == set(metadata.tables)
    for table in metadata.sorted_tables:
        assert set(schema[table.name]) == {column.name for column in table.columns}
        for index in table.indexes:
            parse(str(CreateIndex(index).compile(dialect=DIALECT)))


def test_every_statement_is_tsql_over_the_tables(work, schema):
    compiled = [compile_statement(each) for each in work.statements]
    texts = {" ".join(str(each).split()) for each in compiled}
    for text in texts:
        check(text, schema)
    assert max(len(each.params or ()) for each in compiled) < MAX_PARAMETERS
    kinds = {text.split()[0] for text in texts}
    assert kinds == {"CREATE", "SELECT", "INSERT", "UPDATE", "DELETE"}
    read = {table.name for text in texts for table in parse(text).find_all(exp.Table)}
    assert read == set(metadata.tables)


def test_rows_in_bulk_fit_the_columns_of_sql_server(work, schema):
    assert {table.name for table, _ in work.bulk} == {
        "sensor_anomalies",
        "sensor_device_alarms",
        "sensor_files",
        "sensor_quarantine",
        "sensor_windows",
        "sensors",
    }
    checked = set()
    for table, columns in work.bulk:
        sent = []
        connection = SimpleNamespace(
            dialect=DIALECT, exec_driver_sql=lambda *call, sent=sent: sent.append(call)
        )
        insert_rows(connection, table, columns)
        for text, rows in sent:
            check(text, schema)
            assert len(rows) <= ROWS_PER_BLOCK
            named = [column.name for column in parse(text).this.expressions]
            for name, values in zip(named, zip(*rows, strict=True), strict=True):
                column = schema[table.name][name]
                assert [value for value in set(values) if not fits(value, column)] == [], name
                checked.add(column.kind.this.name)
    assert checked == {"NVARCHAR", "VARCHAR", "INT", "BIGINT", "DOUBLE", "DATETIME2"}


def fits(value, column):
    """Return whether a value can be bound to a column without loss."""
    kind = column.kind.this.name
    if value is None:
        nulls = [each.kind for each in column.constraints]
        return any(each.args.get("allow_null") for each in nulls)
    if kind in INTEGERS:
        return type(value) is int and -(2 ** INTEGERS[kind]) <= value < 2 ** INTEGERS[kind]
    if kind == "DOUBLE":
        return type(value) is float and math.isfinite(value)
    if kind == "DATETIME2":
        return type(value) is datetime and value.tzinfo is None and not value.microsecond
    length = int(column.kind.expressions[0].name)
    units = len(value.encode("utf-16-le")) // 2
    return units <= length and (kind == "NVARCHAR" or value.isascii())


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT name FROM sensor_files LIMIT 3",
        "SELECT `name` FROM sensor_files",
        "SELECT name FROM sensor_files FOR UPDATE",
        "SELECT name FROM sensor_files WHERE true",
        "INSERT OR REPLACE INTO sensor_jobs (name) VALUES (?)",
        "INSERT INTO sensor_jobs (name) VALUES (?) ON DUPLICATE KEY UPDATE name = ?",
        "CREATE TABLE a (b INTEGER) ENGINE=InnoDB",
        "BEGIN IMMEDIATE",
        "SELECT title FROM sensor_files",
        "SELECT name FROM files",
        "INSERT INTO sensor_jobs (title) VALUES (?)",
        "UPDATE sensor_jobs SET title = ?",
    ],
)
def test_what_sql_server_rejects_is_found(sql, schema):
    with pytest.raises(ValueError, match=re.escape(sql)):
        check(sql, schema)


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("sensors", "device", CLEF * (NAME_LENGTH // 2 + 1)),
        ("sensors", "sensor_key", "ä"),
        ("sensors", "sensor_id", 2**31),
        ("sensors", "device", None),
        ("sensor_windows", "mean", math.nan),
        ("sensor_windows", "window_end", datetime(2026, 1, 1, 0, 0, 0, 1)),
        ("sensor_files", "readings", "10"),
    ],
)
def test_a_value_that_does_not_fit_is_found(table, column, value, schema):
    assert not fits(value, schema[table][column])


def test_documented_queries_are_tsql_over_the_tables(schema):
    page = (ROOT / "docs/reference/sensor_tables.md").read_text()
    blocks = re.findall(r"```sql\n(.*?)```", page, re.DOTALL)
    queries = [each.strip().rstrip(";") for each in blocks if "SELECT" in each]
    assert queries
    for query in queries:
        check(query, schema)
